"""The event log of runs: what was appended, page by page, as the bytes that a client is sent."""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
import psycopg
from sqlalchemy import Connection, bindparam, delete, func, select, update

from protocol.errors import Gone, InvalidRequest
from protocol.ids import CallId, RunId
from records.tables import events, runs
from records.tx import Tx

# Built once: building a statement costs ten times its execution.
_PAGE = (
    select(events.c.seq, events.c.type, events.c.data)
    .where(events.c.run_id == bindparam("of"), events.c.seq > bindparam("after"))
    .order_by(events.c.seq)
    .limit(bindparam("most"))
)

_NEWEST = "SELECT seq, type, data FROM events WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?"
_NEWEST_OF_ALL = """
SELECT number, seq, type, data
FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS wanted (id, after, number),
LATERAL (SELECT * FROM events WHERE run_id = wanted.id AND seq > after ORDER BY seq LIMIT %s) AS each
ORDER BY number, seq
"""


class StoredEvent(NamedTuple):
    """`data` is the complete flat JSON object, encoded when it was appended."""

    seq: int
    type: str
    data: bytes


class Extent(NamedTuple):
    """The first seq that is kept, the last that was appended, and whether that was the terminal one."""

    first_kept: int
    last: int
    ended: bool


def page(connection: Connection, run_id: RunId, after_seq: int, limit: int) -> list[StoredEvent]:
    rows = connection.execute(_PAGE, {"of": run_id, "after": after_seq, "most": limit})
    return [StoredEvent(seq, kind, data.encode()) for seq, kind, data in rows]


def pages(connection: Connection, wanted: Sequence[tuple[RunId, int]], limit: int) -> list[list[StoredEvent]]:
    """A page of each run after its cursor: asked for each event that is sent, so straight from the driver.
    On PostgreSQL they are one round trip."""
    raw = connection.connection.driver_connection
    if isinstance(raw, sqlite3.Connection):
        return [
            [StoredEvent(seq, kind, data.encode()) for seq, kind, data in raw.execute(_NEWEST, (*one, limit))]
            for one in wanted
        ]
    assert isinstance(raw, psycopg.Connection)
    told: psycopg.Connection[Any] = raw
    found: list[list[StoredEvent]] = [[] for _ in wanted]
    cursors = ([run_id for run_id, _ in wanted], [after for _, after in wanted])
    for number, seq, kind, data in told.execute(_NEWEST_OF_ALL, (*cursors, limit)):
        found[number - 1].append(StoredEvent(seq, kind, data.encode()))
    return found


def last(connection: Connection, run_id: RunId) -> StoredEvent | None:
    query = (
        select(events.c.seq, events.c.type, events.c.data)
        .where(events.c.run_id == run_id)
        .order_by(events.c.seq.desc())
        .limit(1)
    )
    row = connection.execute(query).first()
    return None if row is None else StoredEvent(row.seq, row.type, row.data.encode())


def extent(connection: Connection, run_id: RunId) -> Extent | None:
    query = select(runs.c.first_seq, runs.c.last_seq, runs.c.completed_at.is_not(None))
    row = connection.execute(query.where(runs.c.id == run_id)).first()
    return None if row is None else Extent(*row)


def first_kept(connection: Connection, run_id: RunId) -> int | None:
    found = extent(connection, run_id)
    return None if found is None else found.first_kept


def cursor(extent: Extent, text: str | None) -> int:
    """The `after_seq` that a client names; refused where it was never given out, or is no longer kept."""
    if text is None:
        after = extent.first_kept - 1
    elif not (text.isascii() and text.isdigit() and len(text) <= 18) or int(text) > extent.last:
        shown = text[:40].encode("unicode_escape").decode()
        raise InvalidRequest("run.cursor_invalid", f"{shown!r} is not a seq of this run", param="after_seq")
    else:
        after = int(text)
    if after < extent.first_kept - 1:
        raise Gone(
            "run.events_expired",
            f"events below {extent.first_kept} are no longer kept",
            param="after_seq",
            details={"first_seq": extent.first_kept, "last_seq": extent.last},
        )
    return after


def text_of_call(connection: Connection, run_id: RunId, call_id: CallId, attempt: int) -> str:
    """What an attempt of a model call has said so far, as the log tells it."""
    query = select(events.c.data).where(events.c.run_id == run_id, events.c.type == "response.delta")
    told = (orjson.loads(row.data) for row in connection.execute(query.order_by(events.c.seq)))
    return "".join(one["delta"] for one in told if one["call_id"] == call_id and one["attempt"] == attempt)


def trim(tx: Tx, run_id: RunId, below: int) -> int:
    """Forget the events below a seq (retention); returns how many went. The last event always stays."""
    below = min(below, tx.last_seq(run_id))
    gone = tx.connection.execute(delete(events).where(events.c.run_id == run_id, events.c.seq < below))
    floor = (
        func.max(runs.c.first_seq, below)
        if tx.connection.dialect.name == "sqlite"
        else func.greatest(runs.c.first_seq, below)
    )
    tx.connection.execute(update(runs).where(runs.c.id == run_id).values(first_seq=floor))
    return gone.rowcount
