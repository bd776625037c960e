"""Commands about checkpoints: what waits, and the decision over exactly what was shown."""

import sys
from typing import Annotated

import typer

from capabilities.visible import written
from cli import show as tell
from cli.client import Body, Client, given
from cli.connect import connect
from cli.failure import Failure
from cli.lists import Limit, listed
from cli.options import Reach
from protocol.errors import InvalidRequest
from protocol.mcp import ELICITATION
from protocol.noun import JSONObject
from protocol.strict import decode

_COLUMNS = {
    "CHECKPOINT": "id",
    "KIND": "kind",
    "STATUS": "status",
    "TOOL": "tool",
    "RUN": "run_id",
    "EXPIRES": "expires_at",
}
CheckpointArgument = Annotated[
    list[str] | None,
    typer.Argument(metavar="ID...", help="The checkpoints; else the only one that is open."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask once more.")]
Reason = Annotated[str | None, typer.Option(help="Why; kept with the decision, and told to the agent.")]


def checkpoints(
    reach: Reach,
    every: Annotated[bool, typer.Option("--all", help="Those that are closed too.")] = False,
    run: Annotated[str | None, typer.Option(help="Only those of a run.")] = None,
    limit: Limit = 50,
) -> None:
    """List what waits for a decision."""
    query = {"order": "desc", "status": None if every else "open", "run_id": run}
    listed(reach, "/v1/checkpoints", _COLUMNS, limit=limit, empty="nothing waits", **query)


def approve(
    reach: Reach,
    checkpoint_id: CheckpointArgument = None,
    yes: Yes = False,
    reason: Reason = None,
    arguments: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="Put these in place of the call's: it is checked and asked anew."),
    ] = None,
) -> None:
    """Show what would be done, and allow exactly that.

    The decision carries the digest of what was shown: if the act changes in between, it is refused. Of
    several all are allowed, or none.
    """
    if arguments is not None and len(checkpoint_id or ()) > 1:
        raise Failure("--arguments goes with one checkpoint")
    decision = given(decision="approve", reason=reason, arguments=_object(arguments))
    asked = "Allow this?" if arguments is None else f"Change its arguments to {arguments}?"
    _decide(checkpoint_id, reach, decision, asked=asked, yes=yes)


def deny(
    reach: Reach,
    checkpoint_id: CheckpointArgument = None,
    yes: Yes = False,
    reason: Reason = None,
) -> None:
    """Refuse what waits; the agent is told, and goes on."""
    _decide(checkpoint_id, reach, given(decision="deny", reason=reason), asked="Refuse this?", yes=yes)


def answer(
    checkpoint_id: Annotated[str, typer.Argument(metavar="ID", help="The checkpoint.")],
    words: Annotated[
        str,
        typer.Argument(
            metavar="ANSWER",
            help="Words; for an unknown outcome succeeded, failed or retry; for a server JSON.",
        ),
    ],
    reach: Reach,
) -> None:
    """Answer a question, or say how an unknown outcome ended."""
    with connect(reach) as client:
        shown = client.get(f"/v1/checkpoints/{checkpoint_id}")
        _print(shown, reach)
        meant = {"resolution": words} if shown["kind"] == "outcome_unknown" else words
        if shown.get("rule") == ELICITATION:
            meant = _object(words, "the answer")
        _send(client, shown, given(decision="answer", answer=meant), reach)


def _object(text: str | None, what: str = "--arguments") -> JSONObject | None:
    if text is None:
        return None
    try:
        value = decode(text.encode())
    except InvalidRequest as refused:
        raise Failure(refused.message.replace("the body", what, 1)) from refused
    if not isinstance(value, dict):
        raise Failure(f"{what} is not a JSON object")
    return value


def _decide(names: list[str] | None, reach: Reach, decision: Body, *, asked: str, yes: bool) -> None:
    with connect(reach) as client:
        shown = [client.get(f"/v1/checkpoints/{name}") for name in names or [_only(client)]]
        for one in shown:
            _print(one, reach)
        if not yes:
            _ask(asked if len(shown) == 1 else f"{asked} All {len(shown)} of them?", reach)
        if len(shown) == 1:
            _send(client, shown[0], decision, reach)
        else:
            _send_all(client, shown, decision, reach)


def _print(shown: JSONObject, reach: Reach) -> None:
    if not reach.as_json:
        print(shown["rendered"])
        wanted = _wanted(shown)
        if wanted:
            print(wanted)


def _wanted(shown: JSONObject) -> str:
    """Who must agree, and how many have; nothing where one person is enough, whoever it is."""
    required = shown["required"]
    assert isinstance(required, dict)
    role, count = required.get("role"), required.get("count", 1)
    words = [f"{shown.get('approvals', 0)} of {count} approvals"] if count != 1 else []
    words += [f"by the role {written(str(role))}"] if role else []
    words += ["by others than the one whose run asks"] if required.get("not_requester") else []
    return f"Needed: {', '.join(words)}" if words else ""


def _send(client: Client, shown: JSONObject, decision: Body, reach: Reach) -> None:
    """The decision is over what was shown, and carries its digest."""
    body = given(**decision, envelope_digest=shown.get("envelope_digest"))
    decided = client.post(f"/v1/checkpoints/{shown['id']}:decide", body)
    tell.done(decided, f"{decided['id']} is {decided['status']}", as_json=reach.as_json)


def _send_all(client: Client, shown: list[JSONObject], decision: Body, reach: Reach) -> None:
    items = [given(id=one["id"], envelope_digest=one.get("envelope_digest")) for one in shown]
    decided = client.post("/v1/checkpoints:decide", given(**decision, items=items))
    made = decided["items"]
    assert isinstance(made, list)
    words = [f"{one['id']} is {one['status']}" for one in made if isinstance(one, dict)]
    tell.done(decided, "\n".join(words), as_json=reach.as_json)


def _only(client: Client) -> str:
    found = [str(one["id"]) for one in client.items("/v1/checkpoints", most=10, status="open")]
    if len(found) != 1:
        raise Failure(f"several wait, say which: {', '.join(found)}" if found else "nothing waits")
    return found[0]


def _ask(question: str, reach: Reach) -> None:
    if reach.as_json or not sys.stdin.isatty():
        raise Failure("nobody is there to ask; say --yes to decide over what is shown")
    if not typer.confirm(question):
        raise Failure("nothing was decided")
