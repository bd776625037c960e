"""Subruns: made in the transaction that settles the call that spawned them, stopped and told of by theirs.

Whoever stops a run's subruns, or tells its parent, holds the locks of these as well.
"""

from collections.abc import Iterator, Sequence

from sqlalchemy import Connection, bindparam, func, select

from protocol.event import SubrunCompleted, SubrunStarted
from protocol.ids import CallId, CheckpointId, RunId
from protocol.inbox import Cancel, SubrunEnded, SubrunWaits
from protocol.run import Limits
from protocol.tool import ToolExecution
from records import effects, inbox, run_end, runs, spending, taints
from records.run_record import RunRecord
from records.tables import calls
from records.tables import runs as table
from records.tree import tree
from records.tx import Tx

_OF = select(table.c.id).where(table.c.parent_run_id == bindparam("of"))
_ANY = _OF.limit(1)
_OPEN = _OF.where(table.c.completed_at.is_(None)).order_by(table.c.created_at, table.c.id)
_STARTING = select(table.c.id).where(table.c.id == bindparam("of"), table.c.status == "starting")


def begin(tx: Tx, parent: RunRecord, execution: ToolExecution, epoch: int, new: runs.NewRun) -> bool:
    """The subrun, as the outcome of the call's effect; false where the session takes no runs. It has read
    what its parent has: whoever wrote its task had."""
    if not isinstance(runs.create(tx, new), runs.Created):
        return False
    taints.add(tx, new.id, execution, taints.of_history(tx.connection, parent.history))
    effects.settle(tx, execution.id, epoch, "succeeded", {"child_run_id": new.id})
    tx.append(parent.run.id, SubrunStarted(child_run_id=new.id), key=f"subrun:{new.id}:started")
    return True


def stop(tx: Tx, run_id: RunId, reason: str) -> None:
    """Every open subrun is told to end; one that has not begun ends at once."""
    for child in open_children(tx.connection, run_id):
        if tx.connection.execute(_STARTING, {"of": child}).first() is None:
            inbox.say(tx, child, Cancel(reason=reason))
        else:
            run_end.end(tx, child, run_end.RunOutcome(status="cancelled", stop_reason="cancelled"))
            tell_end(tx, run_id, child)


def tell_end(tx: Tx, parent: RunId, child: RunId) -> None:
    """Once: in the transaction of the end."""
    tx.append(parent, SubrunCompleted(child_run_id=child), key=f"subrun:{child}:completed")
    inbox.say(tx, parent, SubrunEnded(child_run_id=child))


def tell_waiting(tx: Tx, parent: RunId, child: RunId, asked: Sequence[CheckpointId]) -> None:
    """What the subrun waits for now; nothing where it goes on."""
    inbox.say(tx, parent, SubrunWaits(child_run_id=child, checkpoint_ids=tuple(asked)))


# reading


def open_children(connection: Connection, run_id: RunId) -> list[RunId]:
    """Those that have not ended, oldest first."""
    return list(connection.execute(_OPEN, {"of": run_id}).scalars())


def are_turns_used(connection: Connection, record: RunRecord, but: CallId) -> bool:
    """Whether a run and all below it have had as many turns as it may, or as one above it may; `but` is the
    call that would be the next."""
    for run_id, limits in _line(connection, record):
        taken = select(func.count()).where(calls.c.run_id.in_(tree(run_id)), calls.c.id != but)
        if limits.max_turns and connection.execute(taken).scalar_one() >= limits.max_turns:
            return True
    return False


def are_tools_passed(connection: Connection, record: RunRecord) -> bool:
    """Whether a run and all below it have asked for more tool calls than it may make, or than one above it
    may."""
    for run_id, limits in _line(connection, record):
        asked = select(func.sum(table.c.tool_count)).where(table.c.id.in_(tree(run_id)))
        if limits.max_tool_calls and connection.execute(asked).scalar_one() > limits.max_tool_calls:
            return True
    return False


def _line(connection: Connection, record: RunRecord) -> Iterator[tuple[RunId, Limits]]:
    """A run and those above it, with their limits as they are now."""
    for run_id in (record.run.id, *reversed(record.run.ancestor_run_ids)):
        yield run_id, spending.limits_of(connection, run_id)


def has_children(connection: Connection, run_id: RunId) -> bool:
    return connection.execute(_ANY, {"of": run_id}).first() is not None
