"""Which work tree a run begins with: its own, or its parent's, or that of the session's last workspace."""

from dataclasses import dataclass

from sqlalchemy import Connection

from protocol.capability import RepositoryGrant
from protocol.ids import RunId
from records import boxes, runs, snapshots
from records.run_record import RunRecord

MOST_BUNDLES = 40
"""A tree over so many bundles is saved whole, so that neither a long run nor a long session outgrows it."""


@dataclass(frozen=True)
class Lineage:
    """The last saved tree along the line, and the bundles that rebuild it, oldest first."""

    tree: boxes.Tree | None
    bundles: tuple[str, ...]


def former_of(connection: Connection, record: RunRecord) -> RunRecord | None:
    """The run whose workspace this one continues: a subrun that of its parent. Runs without a workspace in
    between change nothing."""
    target, parent = record.run.target, record.run.parent_run_id
    if target is None or target.repo is not None or not (record.stateful or parent):
        return None
    if parent is not None:
        former = runs.load(connection, parent)
    else:
        former = _last_with_workspace(connection, record)
    if former is None or former.run.target is None or former.run.target.name != target.name:
        return None
    return former


def _last_with_workspace(connection: Connection, record: RunRecord) -> RunRecord | None:
    former = record
    while former is not None and (former is record or former.run.target is None):
        former = runs.last_of_session(connection, record.run.session_id, before=former.run.id)
    return former


def lineage(connection: Connection, run_id: RunId, *, before: int | None = None) -> Lineage:
    """`before` leaves out the run's own trees from that step on."""
    newest_first: list[boxes.Tree] = []
    record = runs.load(connection, run_id)
    while record is not None:
        for tree in boxes.trees_of(connection, record.run.id, before=before):
            newest_first.append(tree)
            if tree.whole:
                return _line(newest_first)
        record, before = former_of(connection, record), None
    return _line(newest_first)


def _line(newest_first: list[boxes.Tree]) -> Lineage:
    bundles = (tree.bundle_digest for tree in reversed(newest_first))
    return Lineage(
        tree=newest_first[0] if newest_first else None,
        bundles=tuple(bundle for bundle in bundles if bundle is not None),
    )


def inherited(connection: Connection, record: RunRecord) -> RepositoryGrant | None:
    """The repository of the workspace that is continued, same base, same branch; a run that was never
    resolved in between is passed over."""
    former = former_of(connection, record)
    while former is not None and former.run.capability_snapshot_id is None:
        former = former_of(connection, former)
    if former is None or former.run.capability_snapshot_id is None:
        return None
    snapshot = snapshots.load(connection, former.run.capability_snapshot_id)
    return snapshot.document.repository if snapshot else None
