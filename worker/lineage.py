"""Which work tree a run begins with: its own, or without a repository its parent's or the session's last."""

from dataclasses import dataclass

from sqlalchemy import Connection

from protocol.capability import RepositoryGrant
from protocol.ids import RunId
from records import boxes, runs, snapshots
from records.run_record import RunRecord

DEEPEST = 50


@dataclass(frozen=True)
class Lineage:
    """The last saved tree along the line, and the bundles that rebuild it, oldest first."""

    tree: boxes.Tree | None
    bundles: tuple[str, ...]


def former_of(connection: Connection, record: RunRecord) -> RunRecord | None:
    """The run whose workspace this one continues: a subrun that of its parent."""
    target, parent = record.run.target, record.run.parent_run_id
    if target is None or target.repo is not None or not (record.stateful or parent):
        return None
    if parent is not None:
        former = runs.load(connection, parent)
    else:
        former = runs.last_of_session(connection, record.run.session_id, before=record.run.id)
    if former is None or former.run.target is None or former.run.target.name != target.name:
        return None
    return former


def lineage(connection: Connection, run_id: RunId, *, before: int | None = None) -> Lineage:
    """`before` leaves out the run's own trees from that step on."""
    line: list[RunRecord] = []
    record = runs.load(connection, run_id)
    while record is not None and len(line) < DEEPEST:
        line.append(record)
        record = former_of(connection, record)
    trees = [
        boxes.last_tree(connection, one.run.id, before=before if one is line[0] else None) for one in line
    ]
    kept = [boxes.bundles(connection, one.run.id) for one in reversed(line)]
    return Lineage(
        tree=next((tree for tree in trees if tree is not None), None),
        bundles=tuple(bundle for bundles in kept for bundle in bundles),
    )


def inherited(connection: Connection, record: RunRecord) -> RepositoryGrant | None:
    """The repository of the workspace that is continued: same base, same branch."""
    former = former_of(connection, record)
    if former is None or former.run.capability_snapshot_id is None:
        return None
    snapshot = snapshots.load(connection, former.run.capability_snapshot_id)
    return snapshot.document.repository if snapshot else None
