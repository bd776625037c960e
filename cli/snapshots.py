"""The command `rhone snapshot`: what a run may do, and what changed between two of them."""

from typing import Annotated

import typer

from capabilities.difference import Change, changes
from capabilities.snapshot import NotVerified, verify_evidence
from cli import show as tell
from cli.client import Client
from cli.connect import connect
from cli.failure import Failure
from cli.options import Reach, spelled_out
from protocol.capability import CapabilitySnapshot, Evidence, Grant, SnapshotDocument, label
from protocol.digest import digest
from protocol.noun import JSONObject

Named = Annotated[str, typer.Argument(metavar="RUN|ID", help="A run, or a snapshot's id.")]

snapshot = typer.Typer(help="Show what a run may do, and compare two.", no_args_is_help=True)


class _Seen:
    """A snapshot as it was sent, and as the nouns that it holds."""

    def __init__(self, told: JSONObject) -> None:
        self.told = told
        fields = dict(told)
        rows = fields.pop("evidence")
        self.snapshot = CapabilitySnapshot.model_validate(fields)
        self.evidence = [Evidence.model_validate(row) for row in rows] if isinstance(rows, list) else []

    def check(self) -> None:
        if digest(self.snapshot.document) != self.snapshot.digest:
            raise Failure(f"{self.snapshot.id}: the document is not the one that its digest names")
        chain = verify_evidence(self.snapshot, self.evidence)
        if isinstance(chain, NotVerified):
            raise Failure(f"{self.snapshot.id}: {chain.reason}")


def _read(client: Client, name: str) -> _Seen:
    """Checked for its own digests; the signature is for whoever holds the public key."""
    of_run = name.startswith("run_")
    path = f"/v1/runs/{name}/capability-snapshot" if of_run else f"/v1/capability-snapshots/{name}"
    seen = _Seen(client.get(path))
    seen.check()
    return seen


@snapshot.command("show")
@spelled_out
def show(name: Named, reach: Reach) -> None:
    """Show what a run may do: its grants, what it was denied, what was materialized."""
    with connect(reach) as client:
        seen = _read(client, name)
    if reach.as_json:
        tell.as_json(seen.told)
        return
    document = seen.snapshot.document
    tell.facts(
        (
            ("snapshot", seen.snapshot.id),
            ("digest", seen.snapshot.digest),
            ("run", document.run_id),
            ("for", document.principal),
            ("policy", document.policy_digest),
            ("asked for", ", ".join(f"{one.kind} {label(one)}" for one in document.requested)),
            ("evidence", f"{len(seen.evidence)} rows, an unbroken chain" if seen.evidence else "none"),
        )
    )
    _grants(document)


def _grants(document: SnapshotDocument) -> None:
    print()
    rows = [(one.name, one.kind, one.effect, one.approval, _why(one)) for one in document.grants]
    tell.table(("MAY", "KIND", "EFFECT", "APPROVAL", "BECAUSE OF"), rows, empty="it may do nothing")
    if document.denials:
        print()
        denied = [(one.name, one.kind, one.rule, one.reason) for one in document.denials]
        tell.table(("MAY NOT", "KIND", "RULE", "BECAUSE"), denied, empty="")
    if document.downgrades:
        print()
        lowered = [(one.name, f"{one.asked} -> {one.given}", one.rule) for one in document.downgrades]
        tell.table(("GIVEN LESS", "HOW", "RULE"), lowered, empty="")


def _why(grant: Grant) -> str:
    return ", ".join(grant.rules)


@snapshot.command("diff")
@spelled_out
def diff(
    before: Annotated[str, typer.Argument(metavar="RUN_A", help="The earlier run, or a snapshot's id.")],
    after: Annotated[str, typer.Argument(metavar="RUN_B", help="The later one.")],
    reach: Reach,
) -> None:
    """Say what changed between what two runs may do, and why."""
    with connect(reach) as client:
        old, new = (_read(client, name).snapshot for name in (before, after))
    found = changes(old.document, new.document)
    if reach.as_json:
        tell.as_json({"before": old.id, "after": new.id, "changes": [_plain(change) for change in found]})
        return
    if not found:
        print("both may do the same, for the same reasons")
    for change in found:
        tell.text(f"{change.words}{f' ({change.why})' if change.why else ''}\n")


def _plain(change: Change) -> JSONObject:
    return change.model_dump(mode="json")
