"""The end of a run, one transaction: whatever is still open is closed, and the terminal event comes last."""

from typing import Any, Literal

from sqlalchemy import select, update

from protocol.errors import ErrorBody
from protocol.event import RunCancelled, RunCompleted, RunFailed, RunTimedOut
from protocol.ids import RunId
from protocol.noun import JSONObject, Noun
from protocol.run import StopReason
from records import blocks, boxes, calls, checkpoints, effects, spending, steps, tool_executions
from records.runs import waited
from records.tables import run_bodies, runs
from records.tx import Tx

_LAST_WORDS = {
    "completed": RunCompleted,
    "failed": RunFailed,
    "cancelled": RunCancelled,
    "timed_out": RunTimedOut,
}


class RunOutcome(Noun):
    status: Literal["completed", "failed", "cancelled", "timed_out"]
    stop_reason: StopReason
    error: ErrorBody | None = None
    output_text: str | None = None
    output: JSONObject | None = None


def end(tx: Tx, run_id: RunId, outcome: RunOutcome) -> bool:
    """False where the run had ended before."""
    if tx.ended(run_id):
        return False
    checkpoints.cancel_open(tx, run_id)
    for execution in tool_executions.unfinished(tx.connection, run_id):
        tool_executions.cancel(tx, execution.id, "interrupted" if execution.attempt else "not_executed")
    effects.abandon_claims(tx, run_id)
    calls.interrupt(tx, run_id)
    steps.interrupt(tx, run_id)
    boxes.release(tx, run_id)
    spending.charge(tx, run_id)
    _close(tx, run_id, outcome)
    return True


def abandon(tx: Tx, run_id: RunId, error: ErrorBody) -> bool:
    """The workflow could not be begun: failed, its input taken back; false where somebody has begun it."""
    status = tx.connection.execute(select(runs.c.status).where(runs.c.id == run_id)).scalar()
    if status != "starting" or tx.ended(run_id):
        return False
    blocks.drop_run(tx, run_id)
    _close(tx, run_id, RunOutcome(status="failed", stop_reason="error", error=error))
    return True


def _close(tx: Tx, run_id: RunId, outcome: RunOutcome) -> None:
    columns = (runs.c.usage, runs.c.cost_usd, runs.c.waiting_since, runs.c.waited_ms)
    row = tx.connection.execute(select(*columns).where(runs.c.id == run_id)).one()
    values: dict[str, Any] = {"status": outcome.status, "stop_reason": outcome.stop_reason}
    tx.connection.execute(
        update(runs).where(runs.c.id == run_id).values(**values, completed_at=tx.now, **waited(tx, row))
    )
    said = outcome.model_dump(include={"output_text", "output"}) | {"error": outcome.error}
    tx.connection.execute(update(run_bodies).where(run_bodies.c.run_id == run_id).values(**said))
    body = _LAST_WORDS[outcome.status](
        stop_reason=outcome.stop_reason,
        usage=row.usage,
        cost_usd=row.cost_usd,
        output_text=outcome.output_text,
        error=outcome.error,
    )
    tx.append(run_id, body, key="ended")
    tx.attest(run_id, "end", {"status": outcome.status, "stop_reason": outcome.stop_reason})
