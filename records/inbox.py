"""The inbox of a run: everything that is said to it from outside, a committed row each."""

from sqlalchemy import Connection, insert, select, update

from protocol.ids import RunId
from protocol.inbox import InboxItem, Message
from protocol.noun import Noun
from records.tables import inbox, runs
from records.tx import Tx


class Said(Noun):
    position: int


class RunEnded(Noun):
    """Nobody listens any more."""


def say(tx: Tx, run_id: RunId, message: Message) -> Said | RunEnded:
    if tx.ended(run_id):
        return RunEnded()
    counted = (
        update(runs)
        .where(runs.c.id == run_id)
        .values(inbox_last=runs.c.inbox_last + 1)
        .returning(runs.c.inbox_last)
    )
    position = tx.connection.execute(counted).scalar_one()
    tx.connection.execute(insert(inbox).values(run_id=run_id, position=position, message=message, at=tx.now))
    tx.hint(("inbox", run_id), position)
    return Said(position=position)


def take(connection: Connection, run_id: RunId, after: int) -> list[InboxItem]:
    query = (
        select(inbox.c.position, inbox.c.message)
        .where(inbox.c.run_id == run_id, inbox.c.position > after)
        .order_by(inbox.c.position)
    )
    rows = connection.execute(query)
    return [InboxItem(position=position, message=message) for position, message in rows]


def acknowledge(tx: Tx, run_id: RunId, position: int) -> None:
    """The run has heard everything up to a position."""
    tx.connection.execute(
        update(runs).where(runs.c.id == run_id, runs.c.inbox_heard < position).values(inbox_heard=position)
    )


def unseen(connection: Connection) -> list[RunId]:
    """Open runs that have not heard all that was said: their wake-up may have been lost."""
    query = select(runs.c.id).where(runs.c.completed_at.is_(None), runs.c.inbox_last > runs.c.inbox_heard)
    return list(connection.execute(query.order_by(runs.c.created_at)).scalars())
