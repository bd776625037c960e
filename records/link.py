"""The one connection through which a process writes, as the writer needs it: begin, flush, commit.

These few statements run for every commit, so they go straight to the driver; all others are SQLAlchemy Core.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection

from protocol.ids import RunId, SessionId
from records.hints import Topic


class LogRow(NamedTuple):
    """What appending to a run's log needs to know; `ended` once its terminal event is in."""

    run_id: RunId
    session_id: SessionId
    last_seq: int
    ended: bool


class EventRow(NamedTuple):
    run_id: RunId
    seq: int
    type: str
    key: str | None
    data: str


class Link(Protocol):
    connection: Connection

    @property
    def lost(self) -> bool:
        """The server has cut it."""
        ...

    def begin(self, runs: Sequence[RunId]) -> tuple[datetime, list[LogRow]]:
        """Start a transaction, lock the runs (sorted by the caller), and read the database's clock."""
        ...

    def first(self, query: str, *values: Any) -> Sequence[Any] | None:
        """The first row of a query that has `?` for its values."""
        ...

    def commit(
        self, events: Sequence[EventRow], logs: Iterable[tuple[int, RunId]], hints: Mapping[Topic, int]
    ) -> None:
        """Store the events and each log's new `last_seq`; commit; hint, where the engine carries hints."""
        ...

    def rollback(self) -> None: ...

    def close(self) -> None: ...
