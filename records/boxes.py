"""Boxes: which container belongs to which run, and the work trees from which a lost one is rebuilt.

A box belongs to a row here, not to a label. Its row is there before its container is: what the engine shows
and no row that is not `gone` owns is an orphan. While it is `making` the row has no place yet, and no
`generation`, which grows by one per materialization of a run's target; what is never finished leaves no row.
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from protocol.ids import BoxId, RunId
from protocol.noun import Moment, Noun
from protocol.target import BoxPlace
from records.columns import all_of, first_of
from records.database import now
from records.tables import boxes, runs, trees
from records.tx import Tx

MAKING_LIMIT = timedelta(minutes=30)
"""Twice what any try of making a box may take: whoever makes it longer has died."""


# Statements that every step executes are built once: building one costs ten times its execution.
_TREES = select(trees).where(trees.c.run_id == bindparam("of")).order_by(trees.c.step.desc())
_TREES_BEFORE = _TREES.where(trees.c.step < bindparam("step"))
_NO_TREE = delete(trees).where(trees.c.run_id == bindparam("of"), trees.c.step == bindparam("step"))
_ADD_TREE = insert(trees)


class Box(Noun):
    """A box that was finished."""

    id: BoxId
    run_id: RunId
    target: str
    generation: int
    state: Literal["active", "releasing", "gone"]
    place: BoxPlace
    created_at: Moment
    released_at: Moment | None = None
    gone_at: Moment | None = None


class NewTree(Noun):
    """The work tree after a step; `bundle_digest` names a blob, None where nothing had changed. A `whole` one
    needs no bundle of an earlier tree."""

    step: int
    commit: str
    tree: str
    bundle_digest: str | None
    whole: bool = False


class Tree(NewTree):
    run_id: RunId
    created_at: Moment


def begin(tx: Tx, box_id: BoxId, run_id: RunId, target: str) -> bool:
    """Before its container is made; false where the run has ended. What somebody else was making for the run
    is given up, so that one worker furnishes it."""
    if tx.ended(run_id):
        return False
    _give_up(tx, run_id)
    row = {"id": box_id, "run_id": run_id, "target": target, "state": "making", "created_at": tx.now}
    tx.connection.execute(insert(boxes).values(row))
    return True


def materialized(tx: Tx, box_id: BoxId, place: BoxPlace) -> Box | None:
    """It is the run's new box, the former one handed to the reaper; None where it was given up."""
    making = select(boxes).where(boxes.c.id == box_id, boxes.c.state == "making")
    row = tx.connection.execute(making).first()
    if row is None:
        return None
    _hand_over(tx, row.run_id)
    newest = select(func.coalesce(func.max(boxes.c.generation), 0))
    before: int = tx.connection.execute(
        newest.where(boxes.c.run_id == row.run_id, boxes.c.target == row.target)
    ).scalar_one()
    finished = {"state": "active", "generation": before + 1, "place": place}
    tx.connection.execute(update(boxes).where(boxes.c.id == box_id).values(finished))
    return active(tx.connection, row.run_id)


def discard(tx: Tx, box_id: BoxId) -> None:
    """It will not be finished: its container, if there is one, is an orphan."""
    tx.connection.execute(delete(boxes).where(boxes.c.id == box_id, boxes.c.state == "making"))


def release(tx: Tx, run_id: RunId) -> None:
    """Hand the run's box to the reaper, and give up what is being made."""
    _hand_over(tx, run_id)
    _give_up(tx, run_id)


def _hand_over(tx: Tx, run_id: RunId) -> None:
    of_the_run = update(boxes).where(boxes.c.run_id == run_id, boxes.c.state == "active")
    tx.connection.execute(of_the_run.values(state="releasing", released_at=tx.now))


def _give_up(tx: Tx, run_id: RunId) -> None:
    tx.connection.execute(delete(boxes).where(boxes.c.run_id == run_id, boxes.c.state == "making"))


def gone(tx: Tx, box_id: BoxId) -> None:
    """The engine has no such container any more."""
    kept = update(boxes).where(boxes.c.id == box_id, boxes.c.state != "gone")
    tx.connection.execute(kept.values(state="gone", gone_at=tx.now))


def active(connection: Connection, run_id: RunId) -> Box | None:
    query = select(boxes).where(boxes.c.run_id == run_id, boxes.c.state == "active")
    return first_of(Box, connection.execute(query))


def of_run(connection: Connection, run_id: RunId) -> list[Box]:
    """Those that were finished."""
    finished = select(boxes).where(boxes.c.run_id == run_id, boxes.c.state != "making")
    query = finished.order_by(boxes.c.created_at, boxes.c.generation)
    return all_of(Box, connection.execute(query))


def to_reap(connection: Connection) -> list[Box]:
    return _placed(connection, "releasing")


def placed(connection: Connection) -> list[Box]:
    """Every box that is in use, or that the reaper has yet to remove."""
    return _placed(connection, "active", "releasing")


def owned(connection: Connection) -> frozenset[BoxId]:
    """The boxes whose containers are nobody's orphans: those that are being made as well."""
    alive = boxes.c.state.in_(("making", "active", "releasing"))
    return frozenset(connection.execute(select(boxes.c.id).where(alive)).scalars())


def images(connection: Connection) -> frozenset[str]:
    """The digests of which a later box of a run may be made: each run keeps to the image of its first."""
    alive = select(boxes.c.place).join(runs, runs.c.id == boxes.c.run_id).where(runs.c.completed_at.is_(None))
    places: Iterable[BoxPlace | None] = connection.execute(alive).scalars()
    return frozenset(place.image_digest for place in places if place is not None)


def stale(connection: Connection) -> list[tuple[BoxId, RunId]]:
    """Boxes whose maker must have died, and whose runs nobody took up since."""
    begun = select(boxes.c.id, boxes.c.run_id).where(boxes.c.state == "making")
    late = begun.where(boxes.c.created_at <= now(connection) - MAKING_LIMIT)
    return [(row.id, row.run_id) for row in connection.execute(late)]


def _placed(connection: Connection, *states: str) -> list[Box]:
    query = select(boxes).where(boxes.c.state.in_(states)).order_by(boxes.c.created_at)
    return all_of(Box, connection.execute(query))


def save_tree(tx: Tx, run_id: RunId, new: NewTree) -> None:
    """A step may be saved more than once, where it waits long in between: the last one counts."""
    tx.connection.execute(_NO_TREE, {"of": run_id, "step": new.step})
    row = {"run_id": run_id, **new.model_dump(), "created_at": tx.now}
    tx.connection.execute(_ADD_TREE, row)


def trees_of(connection: Connection, run_id: RunId, *, before: int | None = None) -> list[Tree]:
    """Newest first; only those of the steps before the given."""
    if before is None:
        return all_of(Tree, connection.execute(_TREES, {"of": run_id}))
    return all_of(Tree, connection.execute(_TREES_BEFORE, {"of": run_id, "step": before}))
