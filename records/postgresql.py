"""PostgreSQL as the records of many machines: row locks on runs, the server's clock, limits on every wait."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event

from protocol.ids import RunId
from records.link import EventRow, LogRow

# A stopped process must not keep its runs locked: the server ends a transaction that idles.
_SETTINGS = {
    "timezone": "UTC",
    "statement_timeout": "30s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "5s",
}
CONNECT: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
    "application_name": "rhone",
}


def engine(url: str, info: dict[str, Any], readers: int) -> Engine:
    options = " ".join(f"-c {name}={value}" for name, value in _SETTINGS.items())
    made = create_engine(
        url,
        pool_size=readers,
        max_overflow=1,
        isolation_level="REPEATABLE READ",
        connect_args={**CONNECT, "options": options},
    )

    @event.listens_for(made, "connect")
    def _connected(_: Any, record: Any) -> None:
        record.info.update(info)

    return made


class PostgreSQLLink:
    """Runs are locked in sorted order, so that two writers never wait for each other."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection.execution_options(isolation_level="AUTOCOMMIT")
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        raw.prepare_threshold = 2
        self._raw: psycopg.Connection[Any] = raw

    def begin(self, runs: Sequence[RunId]) -> tuple[datetime, list[LogRow]]:
        locked: psycopg.Cursor[Any] | None = None
        with self._raw.pipeline():
            self._raw.execute("BEGIN")
            if runs:
                locked = self._raw.execute(
                    "SELECT id, session_id, last_seq, completed_at IS NOT NULL FROM runs"
                    " WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
                    (list(runs),),
                )
            clock = self._raw.execute("SELECT date_trunc('milliseconds', clock_timestamp())")
        (now,) = clock.fetchone() or (None,)
        assert isinstance(now, datetime)
        rows = [LogRow(*row) for row in locked.fetchall()] if locked is not None else []
        return now.astimezone(UTC), rows

    def has_key(self, run_id: RunId, key: str) -> bool:
        found = self._raw.execute("SELECT 1 FROM events WHERE run_id = %s AND key = %s", (run_id, key))
        return found.fetchone() is not None

    def commit(self, events: Sequence[EventRow], logs: Iterable[tuple[int, RunId]]) -> None:
        with self._raw.pipeline():
            if events:
                self._raw.execute(
                    "INSERT INTO events (run_id, seq, type, key, data)"
                    " SELECT * FROM unnest(%s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[])",
                    [list(column) for column in zip(*events, strict=True)],
                )
                self._raw.execute(
                    "UPDATE runs SET last_seq = new.seq"
                    " FROM unnest(%s::bigint[], %s::text[]) AS new(seq, id) WHERE runs.id = new.id",
                    [list(column) for column in zip(*logs, strict=True)],
                )
            self._raw.execute("COMMIT")

    def rollback(self) -> None:
        self._raw.rollback()

    def close(self) -> None:
        self.connection.invalidate()
        self.connection.close()
