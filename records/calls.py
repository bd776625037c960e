"""Model calls and their attempts: who streams names its attempt, and a later attempt fences it off."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, select, update

from protocol.errors import ErrorBody
from protocol.event import (
    CallAttemptVoided,
    CallCompleted,
    CallFailed,
    CallStarted,
    ResponseDelta,
    ThinkingDelta,
)
from protocol.ids import CallId, RunId, SessionId
from protocol.noun import Noun
from protocol.principal import Tenant
from protocol.run import Call
from protocol.usage import Usage
from records.columns import AnyRow, all_of, first_of
from records.conflicts import insert_unless_there
from records.tables import calls
from records.tx import Tx

# Statements that every step executes are built once: building one costs ten times its execution.
_OF = calls.c.id == bindparam("of")
_BEGIN = (
    update(calls)
    .where(_OF, calls.c.status.in_(("running", "failed")))
    .values(attempt=calls.c.attempt + 1, status="running", error=None, completed_at=None)
    .returning(calls.c.attempt, calls.c.run_id, calls.c.step, calls.c.model)
)
_SPEAKS = "SELECT attempt FROM calls WHERE id = ? AND status = 'running'"
_STANDS = select(calls.c.attempt, calls.c.status).where(_OF)
_SETTLE = (
    update(calls)
    .where(_OF, calls.c.attempt == bindparam("by"), calls.c.status == "running")
    .returning(calls.c.run_id)
)


class NewCall(Noun):
    """`run_id` is None for a call outside any run: it has no log to tell of."""

    id: CallId
    tenant: Tenant
    session_id: SessionId
    run_id: RunId | None
    step: int | None
    model: str
    resolved_model: str
    request_digest: str | None = None


class CallResult(Noun):
    usage: Usage
    cost_usd: float | None = None
    ttft_ms: int | None = None
    stop_reason: str


def create(tx: Tx, new: NewCall) -> bool:
    """False where a former try has made it."""
    row = new.model_dump(exclude={"tenant"}) | new.tenant.model_dump()
    return insert_unless_there(tx.connection, calls, row | {"status": "running", "created_at": tx.now})


def start_attempt(tx: Tx, call_id: CallId) -> int | None:
    """The number of a new attempt; the former one is voided. None where the call has its answer."""
    row = tx.connection.execute(_BEGIN, {"of": call_id}).first()
    if row is None:
        return None
    attempt: int = row.attempt
    if row.run_id is not None:
        if attempt > 1:
            void = CallAttemptVoided(call_id=call_id, attempt=attempt - 1)
            tx.append(row.run_id, void, key=f"call:{call_id}:{attempt - 1}:voided")
        started = CallStarted(step=row.step or 0, call_id=call_id, attempt=attempt, model=row.model)
        tx.append(row.run_id, started, key=f"call:{call_id}:{attempt}:started")
    return attempt


def next_attempt(tx: Tx, call_id: CallId) -> int | None:
    """The number that the next attempt would have; None where the call has its answer."""
    row = tx.connection.execute(_STANDS, {"of": call_id}).first()
    if row is None:
        return 1
    return row.attempt + 1 if row.status in ("running", "failed") else None


def current_attempt(tx: Tx, call_id: CallId) -> int | None:
    """The attempt that may still speak; None where none may."""
    row = tx.first(_SPEAKS, call_id)
    return row[0] if row else None


def append_deltas(
    tx: Tx, run_id: RunId, call_id: CallId, attempt: int, deltas: Sequence[ResponseDelta | ThinkingDelta]
) -> bool:
    """False, and nothing appended, where a later attempt has begun or the call or run is over."""
    if tx.ended(run_id) or current_attempt(tx, call_id) != attempt:
        return False
    for delta in deltas:
        tx.append(run_id, delta)
    return True


def complete(tx: Tx, call_id: CallId, attempt: int, result: CallResult) -> bool:
    """False where this attempt is not the one that may speak."""
    values: dict[str, Any] = {name: getattr(result, name) for name in CallResult.model_fields}
    row = _settle(tx, call_id, attempt, status="completed", **values)
    if row is None:
        return False
    if row.run_id is not None:
        body = CallCompleted(call_id=call_id, attempt=attempt, **values)
        tx.append(row.run_id, body, key=f"call:{call_id}:{attempt}:completed")
    return True


def fail(tx: Tx, call_id: CallId, attempt: int, error: ErrorBody) -> bool:
    """This attempt failed; another one may follow."""
    row = _settle(tx, call_id, attempt, status="failed", error=error)
    if row is None:
        return False
    if row.run_id is not None:
        body = CallFailed(call_id=call_id, attempt=attempt, error=error)
        tx.append(row.run_id, body, key=f"call:{call_id}:{attempt}:failed")
    return True


def interrupt(tx: Tx, run_id: RunId) -> None:
    """Whatever call is running will have no answer."""
    running = update(calls).where(calls.c.run_id == run_id, calls.c.status == "running")
    tx.connection.execute(running.values(status="interrupted", completed_at=tx.now))


def load(connection: Connection, call_id: CallId) -> Call | None:
    return first_of(Call, connection.execute(select(calls).where(calls.c.id == call_id)))


def list_calls(connection: Connection, run_id: RunId) -> list[Call]:
    query = select(calls).where(calls.c.run_id == run_id)
    return all_of(Call, connection.execute(query.order_by(calls.c.step, calls.c.created_at, calls.c.id)))


def _settle(tx: Tx, call_id: CallId, attempt: int, **values: Any) -> AnyRow | None:
    settled = values | {"of": call_id, "by": attempt, "completed_at": tx.now}
    return tx.connection.execute(_SETTLE, settled).first()
