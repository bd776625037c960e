"""Commands that say something to a run: send, interrupt, cancel."""

from typing import Annotated, Literal

import typer

from cli import show as tell
from cli.client import Body, given
from cli.connect import connect
from cli.options import Reach
from cli.runs import RunArgument


def send(
    run_id: RunArgument,
    words: Annotated[str, typer.Argument(metavar="WORDS", help="What the agent reads before its next step.")],
    reach: Reach,
) -> None:
    """Say something to a running agent."""
    _say(run_id, "send", given(input=words), reach, done="sent")


def interrupt(
    run_id: RunArgument,
    reach: Reach,
    message: Annotated[str | None, typer.Option(help="What the agent reads when it goes on.")] = None,
    keep: Annotated[
        Literal["discard", "save_partial", "save_marked"],
        typer.Option(help="What becomes of the answer that was being written."),
    ] = "discard",
) -> None:
    """Stop what a run does just now; it goes on afterwards."""
    body = given(behavior=keep, message=message)
    _say(run_id, "interrupt", body, reach, done="interrupted")


def cancel(
    run_id: RunArgument,
    reach: Reach,
    reason: Annotated[str | None, typer.Option(help="Why; kept with the run.")] = None,
) -> None:
    """End a run.

    What it waits for is cancelled, and its workspace goes.
    """
    _say(run_id, "cancel", given(reason=reason), reach, done="is being cancelled")


def _say(run_id: str, verb: str, body: Body, reach: Reach, *, done: str) -> None:
    with connect(reach) as client:
        told = client.post(f"/v1/runs/{run_id}:{verb}", body)
    tell.done(told, f"{run_id} {done}", as_json=reach.as_json)
