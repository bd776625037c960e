"""PostgreSQL as the records of many machines: row locks on runs, the server's clock, limits on every wait."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, Engine, create_engine, event

from protocol.ids import RunId
from records.hints import Topic, encode
from records.link import EventRow, LogRow

# A stopped process must not keep its runs locked: the server ends a transaction that idles.
_SETTINGS = {
    "timezone": "UTC",
    "statement_timeout": "30s",
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


def engine(url: str, info: dict[str, Any], readers: int, patience_s: float) -> Engine:
    settings = {**_SETTINGS, "lock_timeout": f"{round(patience_s * 1000)}ms"}
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    made = create_engine(
        url,
        pool_size=readers,
        max_overflow=4,
        isolation_level="AUTOCOMMIT",
        connect_args={**CONNECT, "options": options},
    )

    @event.listens_for(made, "connect")
    def _connected(_: Any, record: Any) -> None:
        record.info.update(info)

    return made


SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
CHANNEL = "rhone_hints"
_PAYLOAD = 7_900  # a NOTIFY carries less than 8,000 bytes

_PREPARED = (
    "PREPARE rhone_lock(text) AS SELECT id, session_id, last_seq, completed_at IS NOT NULL"
    " FROM runs WHERE id = $1 FOR NO KEY UPDATE",
    "PREPARE rhone_clock AS SELECT date_trunc('milliseconds', clock_timestamp())",
    "PREPARE rhone_append(text, bigint, text, text, text) AS"
    " INSERT INTO events (run_id, seq, type, key, data) VALUES ($1, $2, $3, $4, $5)",
    "PREPARE rhone_append_all(json) AS INSERT INTO events (run_id, seq, type, key, data)"
    " SELECT e->>0, (e->>1)::bigint, e->>2, e->>3, e->>4 FROM json_array_elements($1) AS e",
    "PREPARE rhone_advance(bigint, text) AS UPDATE runs SET last_seq = $1 WHERE id = $2",
    f"PREPARE rhone_notify(text) AS SELECT pg_notify('{CHANNEL}', $1)",
)


class PostgreSQLLink:
    """Runs are locked in sorted order, so that two writers never wait for each other.

    Begin and commit are one round trip each: several prepared statements sent as one simple query, which
    costs half of the same in pipeline mode.
    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        raw = connection.connection.driver_connection
        assert isinstance(raw, psycopg.Connection)
        self._raw: psycopg.Connection[Any] = raw
        self._batch = psycopg.ClientCursor(raw)
        self._prepare()

    @property
    def lost(self) -> bool:
        return self._raw.closed

    def begin(self, runs: Sequence[RunId]) -> tuple[datetime, list[LogRow]]:
        locks = "EXECUTE rhone_lock(%s);" * len(runs)
        self._batch.execute(f"BEGIN; {locks} EXECUTE rhone_clock", runs)  # pyright: ignore[reportArgumentType]
        rows: list[LogRow] = []
        for _ in runs:
            self._batch.nextset()
            rows += [LogRow(*row) for row in self._batch.fetchall()]
        self._batch.nextset()
        ((now,),) = self._batch.fetchall()
        return now.astimezone(UTC), rows

    def first(self, query: str, *values: Any) -> Sequence[Any] | None:
        return self._raw.execute(query.replace("?", "%s"), values).fetchone()  # pyright: ignore[reportArgumentType]

    def commit(
        self, events: Sequence[EventRow], logs: Iterable[tuple[int, RunId]], hints: Mapping[Topic, int]
    ) -> None:
        """Hints are sent behind the commit: inside it, one lock of the server would queue all commits."""
        if self._raw.info.transaction_status == TransactionStatus.INERROR:
            raise errors.InFailedSqlTransaction("a statement of this transaction has failed")
        parts: list[str] = []
        values: list[Any] = []
        if len(events) == 1:
            parts.append("EXECUTE rhone_append(%s, %s, %s, %s, %s)")
            values += events[0]
        elif events:
            parts.append("EXECUTE rhone_append_all(%s)")
            values.append(orjson.dumps([tuple(row) for row in events]).decode())
        for log in logs:
            parts.append("EXECUTE rhone_advance(%s, %s)")
            values += log
        parts.append("COMMIT")
        for payload in encode(hints, _PAYLOAD) if hints else ():
            parts.append("EXECUTE rhone_notify(%s)")
            values.append(payload.decode())
        self._batch.execute(";".join(parts), values)  # pyright: ignore[reportArgumentType]

    def rollback(self) -> None:
        """The driver forgets all prepared statements with its own, where it has prepared any."""
        self._raw.rollback()
        there = "SELECT 1 FROM pg_prepared_statements WHERE name = 'rhone_lock'"
        if self._batch.execute(there).fetchone() is None:
            self._prepare()

    def _prepare(self) -> None:
        for statement in _PREPARED:
            self._batch.execute(statement)

    def close(self) -> None:
        self.connection.invalidate()
        self.connection.close()
