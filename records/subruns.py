"""Subruns: made in the transaction that settles the call that spawned them, stopped and told of by theirs.

Whoever stops a run's subruns, or tells its parent, holds the locks of these as well.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from protocol.event import SubrunCompleted, SubrunStarted
from protocol.ids import CheckpointId, RunId
from protocol.inbox import Cancel, SubrunEnded, SubrunWaits
from protocol.tool import ToolExecution
from records import effects, inbox, run_end, runs, taints
from records.run_record import RunRecord
from records.tables import runs as table
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


def has_children(connection: Connection, run_id: RunId) -> bool:
    return connection.execute(_ANY, {"of": run_id}).first() is not None
