"""Commands about checkpoints: what waits, and the decision over exactly what was shown."""

import sys
from typing import Annotated

import typer

from cli import show as tell
from cli.client import Body, given
from cli.connect import connect
from cli.failure import Failure
from cli.options import Reach

CheckpointArgument = Annotated[str, typer.Argument(metavar="ID", help="The checkpoint's id.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask once more.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept with the decision, and told to the agent.")]


def checkpoints(
    reach: Reach,
    every: Annotated[bool, typer.Option("--all", help="Those that are closed too.")] = False,
    run: Annotated[str | None, typer.Option(help="Only those of a run.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
) -> None:
    """List what waits for a decision."""
    status = None if every else "open"
    with connect(reach) as client:
        found = list(client.items("/v1/checkpoints", most=limit, order="desc", status=status, run_id=run))
    if reach.as_json:
        tell.as_json(found)
        return
    columns = ("CHECKPOINT", "KIND", "STATUS", "TOOL", "RUN", "EXPIRES")
    keys = ("id", "kind", "status", "tool", "run_id", "expires_at")
    tell.table(columns, [[one.get(key) for key in keys] for one in found], empty="nothing waits")


def approve(
    checkpoint_id: CheckpointArgument,
    reach: Reach,
    yes: Yes = False,
    reason: Reason = None,
) -> None:
    """Show what would be done, and allow exactly that.

    The decision carries the digest of what was shown: if the act changes in between, it is refused.
    """
    _decide(checkpoint_id, reach, given(decision="approve", reason=reason), asked="Allow this?", yes=yes)


def deny(
    checkpoint_id: CheckpointArgument,
    reach: Reach,
    yes: Yes = False,
    reason: Reason = None,
) -> None:
    """Refuse what waits; the agent is told, and goes on."""
    _decide(checkpoint_id, reach, given(decision="deny", reason=reason), asked="Refuse this?", yes=yes)


def answer(
    checkpoint_id: CheckpointArgument,
    words: Annotated[
        str,
        typer.Argument(metavar="ANSWER", help="Words; for an unknown outcome succeeded, failed or retry."),
    ],
    reach: Reach,
) -> None:
    """Answer a question, or say how an unknown outcome ended."""
    with connect(reach) as client:
        kind = client.get(f"/v1/checkpoints/{checkpoint_id}")["kind"]
    meant = {"resolution": words} if kind == "outcome_unknown" else words
    _decide(checkpoint_id, reach, given(decision="answer", answer=meant), asked="", yes=True)


def _decide(checkpoint_id: str, reach: Reach, decision: Body, *, asked: str, yes: bool) -> None:
    with connect(reach) as client:
        shown = client.get(f"/v1/checkpoints/{checkpoint_id}")
        if not reach.as_json:
            print(shown["rendered"])
        if not yes:
            _ask(asked, reach)
        body = given(**decision, envelope_digest=shown.get("envelope_digest"))
        decided = client.post(f"/v1/checkpoints/{checkpoint_id}:decide", body)
    if reach.as_json:
        tell.as_json(decided)
    else:
        print(f"{decided['id']} is {decided['status']}")


def _ask(question: str, reach: Reach) -> None:
    if reach.as_json or not sys.stdin.isatty():
        raise Failure("nobody is there to ask; say --yes to decide over what is shown")
    if not typer.confirm(question):
        raise Failure("nothing was decided")
