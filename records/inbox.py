"""The inbox of a run: everything that is said to it from outside, a committed row each."""

from sqlalchemy import Connection, bindparam, insert, select, update

from protocol.ids import RunId
from protocol.inbox import InboxItem, Message
from protocol.noun import Noun
from records.tables import inbox, runs
from records.tx import Tx

# Built once: building a statement costs ten times its execution.
_COUNT = (
    update(runs)
    .where(runs.c.id == bindparam("of"))
    .values(inbox_last=runs.c.inbox_last + 1)
    .returning(runs.c.inbox_last)
)
_SAY = insert(inbox)
_TAKE = (
    select(inbox.c.position, inbox.c.message)
    .where(inbox.c.run_id == bindparam("of"), inbox.c.position > bindparam("known"))
    .order_by(inbox.c.position)
)
_HEARD = update(runs).where(runs.c.id == bindparam("of"), runs.c.inbox_heard < bindparam("beyond"))


class Said(Noun):
    position: int


class RunEnded(Noun):
    """Nobody listens any more."""


def say(tx: Tx, run_id: RunId, message: Message) -> Said | RunEnded:
    if tx.ended(run_id):
        return RunEnded()
    position = tx.connection.execute(_COUNT, {"of": run_id}).scalar_one()
    row = {"run_id": run_id, "position": position, "message": message, "at": tx.now}
    tx.connection.execute(_SAY, row)
    tx.hint(("inbox", run_id), position)
    return Said(position=position)


def take(connection: Connection, run_id: RunId, after: int) -> list[InboxItem]:
    rows = connection.execute(_TAKE, {"of": run_id, "known": after})
    return [InboxItem(position=position, message=message) for position, message in rows]


def acknowledge(tx: Tx, run_id: RunId, position: int) -> None:
    """The run has heard everything up to a position."""
    tx.connection.execute(_HEARD, {"of": run_id, "beyond": position, "inbox_heard": position})


def unseen(connection: Connection) -> list[RunId]:
    """Open runs that have not heard all that was said: their wake-up may have been lost."""
    query = select(runs.c.id).where(runs.c.completed_at.is_(None), runs.c.inbox_last > runs.c.inbox_heard)
    return list(connection.execute(query.order_by(runs.c.created_at)).scalars())
