"""The commands `rhone receipt ...`: what proves a run, taken out, verified offline, erased in parts."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from capabilities.policy import Policy
from capabilities.verdict import PolicyQuestion
from cli import rhone_verify
from cli import show as tell
from cli.connect import connect
from cli.failure import REFUSED, Failure
from cli.options import AsJson, Reach, spelled_out
from protocol.digest import canonical
from protocol.errors import Fault

receipt = typer.Typer(
    help="Export, verify and erase what proves a run.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")]
Output = Annotated[Path | None, typer.Option("-o", "--output", help="File to write; else standard output.")]
WAIT_S = 15


@receipt.command("export")
@spelled_out
def export(
    run_id: RunId,
    reach: Reach,
    output: Output = None,
    partial: Annotated[bool, typer.Option(help="Take what is there of a run that goes on.")] = False,
    head: Annotated[
        Path | None, typer.Option(help="Signed head of the log: prove that the log grew out of it.")
    ] = None,
) -> None:
    """Write everything that proves a run into one file."""
    since = json.loads(head.read_bytes())["statement"]["size"] if head else None
    asked: Any = {"partial": "true", "since": since} if partial else {"wait_s": WAIT_S, "since": since}
    with connect(reach) as client:
        _write(client.get(f"/v1/runs/{run_id}/receipt", **asked), output)


@receipt.command("verify")
@spelled_out
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What `rhone receipt export` wrote.")],
    head: Annotated[Path | None, typer.Option(help="A signed head that was saved before.")] = None,
    key: Annotated[Path | None, typer.Option(help="The keys that are trusted: `rhone receipt keys`.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a receipt, with no network: its chain, its signatures, and each decision from its inputs."""
    try:
        keyring = rhone_verify.read_keyring(key.read_bytes()) if key else None
        saved = json.loads(head.read_bytes()) if head else None
        data = file.read_bytes()
    except (OSError, ValueError, KeyError) as error:
        raise Failure(f"cannot be read: {error}") from error
    report = rhone_verify.verify(data, keyring=keyring, saved=saved, decide=decide)
    if as_json:
        faults = [fault._asdict() for fault in report.faults]
        counted = {"records": report.records, "derived": report.derived}
        tell.as_json({"ok": report.ok, "faults": faults, "notes": report.notes, **counted})
    else:
        print(rhone_verify.told(report))
    if not report.ok:
        raise typer.Exit(REFUSED)


@receipt.command("keys")
@spelled_out
def keys(reach: Reach, output: Output = None) -> None:
    """Write the keys that signed here, and which are revoked: keep them where you trust them."""
    with connect(reach) as client:
        _write(client.get("/v1/receipts/keys"), output)


@receipt.command("head")
@spelled_out
def head(reach: Reach, output: Output = None) -> None:
    """Write the newest signed head of the project's log: who keeps it notices a history that is rewritten."""
    with connect(reach) as client:
        items: Any = client.get("/v1/receipts/heads", limit=1)["items"]
    if not items:
        raise Failure("nothing is signed yet")
    _write(items[0], output)


@receipt.command("erase")
@spelled_out
def erase(
    run_id: RunId,
    ordinal: Annotated[int, typer.Argument(metavar="RECORD", help="The record whose payload goes.")],
    reach: Reach,
) -> None:
    """Erase the payload of one record for good; the chain stays whole."""
    with connect(reach) as client:
        answer = client.post(f"/v1/runs/{run_id}/receipt:erase", {"ordinal": ordinal})
    words = f"the payload of record {ordinal} is erased from the receipt of {run_id}"
    tell.done(answer, words, as_json=reach.as_json)


_policies: dict[str, Policy] = {}


def decide(text: str, question: Any) -> Any:
    """The verdict of a kept policy on a recorded question."""
    if text not in _policies:
        try:
            _policies[text] = Policy.restore(text.encode())
        except Fault as fault:
            raise ValueError(f"the policy does not load: {fault.message}") from fault
    verdict = _policies[text].decide(PolicyQuestion.model_validate(question))
    return {"answer": verdict.answer, "rules": list(verdict.rules)}


def _write(value: Any, output: Path | None) -> None:
    data = canonical(value)
    if output is None:
        tell.text(data.decode() + "\n")
    else:
        output.write_bytes(data)
