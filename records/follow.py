"""A run's log, from a cursor to the terminal event: what is there, then what comes."""

from collections.abc import AsyncIterator
from functools import partial

from sqlalchemy import Connection

from protocol.event import TERMINAL_EVENTS
from protocol.ids import RunId
from records import events
from records.database import Database
from records.events import StoredEvent
from records.hints import Hints

PAGE = 256
LOOK_AGAIN_S = 1.0


async def follow(
    database: Database, hints: Hints, run_id: RunId, after_seq: int
) -> AsyncIterator[list[StoredEvent]]:
    """Pages without a gap; it ends after the terminal event. A lost hint costs one second."""
    with hints.subscribe(("events", run_id)) as grown:
        while True:
            page, over = await database.look(partial(_look, run_id=run_id, after_seq=after_seq))
            if page:
                yield page
                after_seq = page[-1].seq
            if over:
                return
            if len(page) < PAGE:
                await grown.wait(after_seq, LOOK_AGAIN_S)


def _look(connection: Connection, run_id: RunId, after_seq: int) -> tuple[list[StoredEvent], bool]:
    """The next page, and whether nothing can come after it."""
    page = events.page(connection, run_id, after_seq, PAGE)
    if page:
        return page, page[-1].type in TERMINAL_EVENTS
    extent = events.extent(connection, run_id)
    return page, extent is None or (extent.ended and extent.last <= after_seq)
