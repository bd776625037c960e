"""Boxes: which container belongs to which run, and the work trees from which a lost one is rebuilt.

A box belongs to a row here, not to a label: what the engine shows and no `active` or `releasing` row owns is
an orphan. `generation` grows by one per materialization of a run's target.
"""

from typing import Literal

from sqlalchemy import Connection, delete, func, insert, select, update

from protocol.ids import BoxId, RunId
from protocol.noun import Moment, Noun
from protocol.target import BoxPlace
from records.columns import noun_of
from records.tables import boxes, trees
from records.tx import Tx


class Box(Noun):
    id: BoxId
    run_id: RunId
    target: str
    generation: int
    state: Literal["active", "releasing", "gone"]
    place: BoxPlace
    created_at: Moment
    released_at: Moment | None = None
    gone_at: Moment | None = None


class Tree(Noun):
    """The work tree after a step; `bundle_digest` names a blob, None where nothing had changed."""

    run_id: RunId
    step: int
    commit: str
    tree: str
    bundle_digest: str | None
    created_at: Moment


def materialized(tx: Tx, box_id: BoxId, run_id: RunId, target: str, place: BoxPlace) -> Box | None:
    """The run's new box, its former one handed to the reaper; None where the run has ended."""
    if tx.ended(run_id):
        return None
    release(tx, run_id)
    newest = select(func.coalesce(func.max(boxes.c.generation), 0))
    before: int = tx.connection.execute(
        newest.where(boxes.c.run_id == run_id, boxes.c.target == target)
    ).scalar_one()
    box = Box(
        id=box_id,
        run_id=run_id,
        target=target,
        generation=before + 1,
        state="active",
        place=place,
        created_at=tx.now,
    )
    tx.connection.execute(insert(boxes).values(box.model_dump(exclude={"place"}) | {"place": place}))
    return box


def release(tx: Tx, run_id: RunId) -> None:
    """Hand the run's box to the reaper."""
    active = update(boxes).where(boxes.c.run_id == run_id, boxes.c.state == "active")
    tx.connection.execute(active.values(state="releasing", released_at=tx.now))


def gone(tx: Tx, box_id: BoxId) -> None:
    """The engine has no such container any more."""
    kept = update(boxes).where(boxes.c.id == box_id, boxes.c.state != "gone")
    tx.connection.execute(kept.values(state="gone", gone_at=tx.now))


def active(connection: Connection, run_id: RunId) -> Box | None:
    query = select(boxes).where(boxes.c.run_id == run_id, boxes.c.state == "active")
    row = connection.execute(query).first()
    return None if row is None else noun_of(Box, row)


def of_run(connection: Connection, run_id: RunId) -> list[Box]:
    query = select(boxes).where(boxes.c.run_id == run_id).order_by(boxes.c.created_at, boxes.c.generation)
    return [noun_of(Box, row) for row in connection.execute(query)]


def to_reap(connection: Connection) -> list[Box]:
    return _in_state(connection, "releasing")


def owned(connection: Connection) -> list[Box]:
    """Every box that is in use, or that the reaper has yet to remove."""
    return [*_in_state(connection, "active"), *to_reap(connection)]


def _in_state(connection: Connection, state: str) -> list[Box]:
    query = select(boxes).where(boxes.c.state == state).order_by(boxes.c.created_at)
    return [noun_of(Box, row) for row in connection.execute(query)]


def save_tree(tx: Tx, run_id: RunId, step: int, *, commit: str, tree: str, bundle_digest: str | None) -> None:
    """A step may be saved more than once, where it waits long in between: the last one counts."""
    tx.connection.execute(delete(trees).where(trees.c.run_id == run_id, trees.c.step == step))
    row = {"run_id": run_id, "step": step, "commit": commit, "tree": tree, "bundle_digest": bundle_digest}
    tx.connection.execute(insert(trees).values(row | {"created_at": tx.now}))


def last_tree(connection: Connection, run_id: RunId, *, before: int | None = None) -> Tree | None:
    """The newest one, or the newest of the steps before the given."""
    query = select(trees).where(trees.c.run_id == run_id).order_by(trees.c.step.desc()).limit(1)
    if before is not None:
        query = query.where(trees.c.step < before)
    row = connection.execute(query).first()
    return None if row is None else noun_of(Tree, row)


def bundles(connection: Connection, run_id: RunId) -> list[str]:
    """The blobs that rebuild the run's last tree, in the order in which they are unpacked."""
    query = select(trees.c.bundle_digest).where(trees.c.run_id == run_id, trees.c.bundle_digest.is_not(None))
    return list(connection.execute(query.order_by(trees.c.step)).scalars())
