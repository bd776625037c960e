"""One transaction of the writer, as a unit of work sees it.

A unit may run twice (when its batch fails, each unit is replayed alone), so it changes nothing but the
database. Events that it appends are numbered at once and stored at the commit: a query of the same
transaction does not see them yet.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from protocol.event import TERMINAL_EVENTS, EventBody
from protocol.ids import RunId, SessionId
from protocol.noun import JSON, JSONObject, rfc3339
from protocol.receipt import RecordKind
from records import outbox
from records.chains import Chains
from records.hints import SOME_RUN, Topic
from records.link import EventRow, Link

_KEY = "SELECT 1 FROM events WHERE run_id = ? AND key = ?"


class _Log:
    """The end of one run's log, held under the run's lock."""

    __slots__ = ("ended", "keys", "last_seq", "session_id")

    def __init__(self, session_id: SessionId, last_seq: int, *, ended: bool) -> None:
        self.session_id = session_id
        self.last_seq = last_seq
        self.ended = ended
        self.keys: set[str] = set()


class Tx:
    """`now` is the database's clock, read once when the locks were held."""

    def __init__(self, link: Link, runs: Sequence[RunId]) -> None:
        self.now: datetime
        self.now, rows = link.begin(runs)
        self.connection: Connection = link.connection
        self.hints: dict[Topic, int] = {}
        self._at = rfc3339(self.now)
        self._link = link
        self._chains = Chains(link.connection)
        self._events: list[EventRow] = []
        self._logs = {row.run_id: _Log(row.session_id, row.last_seq, ended=row.ended) for row in rows}

    def append(self, run_id: RunId, body: EventBody, *, key: str | None = None) -> int | None:
        """The event's `seq`; None when that key is already there or the run has ended."""
        log = self._log(run_id)
        if log.ended:
            return None
        if key is not None:
            if key in log.keys or self.first(_KEY, run_id, key):
                return None
            log.keys.add(key)
        seq = log.last_seq = log.last_seq + 1
        log.ended = body.type in TERMINAL_EVENTS
        data = self._encode(run_id, log, body)
        self._events.append(EventRow(run_id, seq, body.type, key, data))
        self.hints["events", run_id] = seq
        return seq

    def attest(self, run_id: RunId, kind: RecordKind, body: JSONObject, payload: JSON = None) -> None:
        """Put a fact of this transaction into the run's receipt; `payload` is the part that may be erased."""
        ended = self._log(run_id).ended
        self._chains.append(run_id, kind, self.now, body, payload, ended=ended)

    def evidence(self, run_id: RunId) -> str | None:
        """The digest of what was materialized last for the run, as its receipt has it."""
        return self._chains.end(run_id).evidence

    def ended(self, run_id: RunId) -> bool:
        """Whether the run's terminal event is in."""
        return self._log(run_id).ended

    def first(self, query: str, *values: Any) -> Sequence[Any] | None:
        """The first row of a query that is asked so often that it goes straight to the driver."""
        return self._link.first(query, *values)

    def last_seq(self, run_id: RunId) -> int:
        return self._log(run_id).last_seq

    def hint(self, topic: Topic, number: int) -> None:
        """Tell the bus after the commit; a hint may get lost, what it points to does not."""
        self.hints[topic] = number

    def begin_log(self, run_id: RunId, session_id: SessionId) -> None:
        """The log of a run whose row this transaction has just made."""
        self._logs[run_id] = _Log(session_id, 0, ended=False)

    def commit(self) -> None:
        if self._chains.store():
            self.hints["unsealed", SOME_RUN] = 1
        if outbox.post(self.connection, self.now, self._events):
            self.hints["outbox", SOME_RUN] = 1
        ends = {event.run_id: event.seq for event in self._events}
        self._link.commit(self._events, [(seq, run_id) for run_id, seq in ends.items()], self.hints)

    def _log(self, run_id: RunId) -> _Log:
        log = self._logs.get(run_id)
        if log is None:
            raise LookupError(
                f"{run_id} is not among the runs that this unit of work locks, or does not exist"
            )
        return log

    def _encode(self, run_id: RunId, log: _Log, body: EventBody) -> str:
        flat = {
            "type": body.type,
            "seq": log.last_seq,
            "run_id": run_id,
            "session_id": log.session_id,
            "at": self._at,
            **body.model_dump(mode="json", exclude_none=True),
        }
        if "cost_usd" in type(body).model_fields:
            flat.setdefault("cost_usd", None)
        return orjson.dumps(flat).decode()
