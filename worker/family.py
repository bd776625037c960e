"""Commits that reach into a run's family: its parent hears of its end, its open subruns are told to stop."""

from collections.abc import Callable
from typing import TypeVar

from harness.state import Ending
from protocol.ids import RunId
from records import subruns
from records.database import Database
from records.run_record import RunRecord
from records.tx import Tx
from records.writer import Writer
from worker import endings

T = TypeVar("T")
OVER = "the run that spawned this one stopped it"


async def stop_subruns(database: Database, writer: Writer, record: RunRecord, unit: Callable[[Tx], T]) -> T:
    """The unit, in the transaction that stops all open subruns. They and the parent are locked with the run;
    where one was made meanwhile, nothing is done and all are looked up anew."""
    run_id, parent = record.run.id, record.run.parent_run_id
    while True:
        known = await database.read(lambda connection: subruns.open_children(connection, run_id))

        def whole(tx: Tx, known: list[RunId] = known) -> tuple[T] | None:
            if not set(known).issuperset(subruns.open_children(tx.connection, run_id)):
                return None
            subruns.stop(tx, run_id, OVER)
            return (unit(tx),)

        done = await writer.commit(whole, runs=[run_id, *known, *([parent] if parent else [])])
        if done is not None:
            return done[0]


async def end(database: Database, writer: Writer, record: RunRecord, ending: Ending) -> None:
    """The end of a run, whoever tells it: what is below it stops, what is above it hears."""
    run_id, parent = record.run.id, record.run.parent_run_id

    def unit(tx: Tx) -> None:
        if endings.end(tx, record, ending) and parent is not None:
            subruns.tell_end(tx, parent, run_id)

    await stop_subruns(database, writer, record, unit)
