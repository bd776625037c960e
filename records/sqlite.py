"""SQLite as one machine's records: WAL, synchronous FULL, one writer at a time, readers never in its way."""

import sqlite3
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

from protocol.ids import RunId
from records.hints import Topic
from records.link import EventRow, LogRow

CLOCK = "strftime('%Y-%m-%dT%H:%M:%fZ','now')"
SNAPSHOT = "BEGIN"

_SETTINGS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA cache_size=-16000",
    "PRAGMA temp_store=MEMORY",
)


def engine(url: str, info: dict[str, Any], readers: int, patience_s: float) -> Engine:
    """An engine whose connections are in autocommit; transactions are begun by name."""
    made = create_engine(
        url,
        pool_size=readers,
        max_overflow=4,
        connect_args={"check_same_thread": False, "isolation_level": None, "cached_statements": 512},
    )

    @event.listens_for(made, "connect")
    def _connected(connection: sqlite3.Connection, record: Any) -> None:
        record.info.update(info)
        for setting in (*_SETTINGS, f"PRAGMA busy_timeout={round(patience_s * 1000)}"):
            connection.execute(setting)

    return made


class SQLiteLink:
    """Writes begin IMMEDIATE: the lock is taken before anything is read."""

    def __init__(self, connection: Connection, patience_s: float) -> None:
        self.connection = connection
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)
        raw.execute("PRAGMA busy_timeout=0")
        self._raw = raw
        self._patience_s = patience_s

    @property
    def lost(self) -> bool:
        return False

    def begin(self, runs: Sequence[RunId]) -> tuple[datetime, list[LogRow]]:
        self._lock()
        marks = ",".join("?" * len(runs))
        found = self._raw.execute(
            f"SELECT {CLOCK}, id, session_id, last_seq, completed_at IS NOT NULL"
            f" FROM (SELECT 1) LEFT JOIN runs ON id IN ({marks})",
            runs,
        ).fetchall()
        return datetime.fromisoformat(found[0][0]), [LogRow(*row) for _, *row in found if row[0] is not None]

    def _lock(self) -> None:
        """SQLite itself would sleep up to 100 ms between two looks; a transaction takes less than one."""
        deadline = time.monotonic() + self._patience_s
        pause = 0.0001
        while True:
            try:
                self._raw.execute("BEGIN IMMEDIATE")
                return
            except sqlite3.OperationalError as error:
                busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
            time.sleep(pause)
            pause = min(pause * 1.3, 0.001)

    def first(self, query: str, *values: Any) -> Sequence[Any] | None:
        return self._raw.execute(query, values).fetchone()

    def commit(
        self, events: Sequence[EventRow], logs: Iterable[tuple[int, RunId]], hints: Mapping[Topic, int]
    ) -> None:
        if events:
            self._raw.executemany(
                "INSERT INTO events (run_id, seq, type, key, data) VALUES (?,?,?,?,?)", events
            )
            self._raw.executemany("UPDATE runs SET last_seq = ? WHERE id = ?", logs)
        self._raw.execute("COMMIT")

    def rollback(self) -> None:
        if self._raw.in_transaction:
            self._raw.execute("ROLLBACK")

    def close(self) -> None:
        self.connection.invalidate()
        self.connection.close()
