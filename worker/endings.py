"""How a run ends: every call of the open step gets a result, then one transaction closes all that is open."""

import json

from harness.context import not_executed
from harness.state import Ending
from protocol.block import Block, ResponseBlock, ToolCallBlock, text_of
from protocol.errors import ErrorBody, ErrorType
from protocol.noun import JSONObject
from records import blocks, run_end, steps, tool_executions
from records.run_end import RunOutcome
from records.run_record import RunRecord
from records.tx import Tx
from worker.results import synthesize

WHY = {
    "max_turns": "the limit of turns was reached, of the run or of one above it",
    "max_tool_calls": "the limit of tool calls would be passed, of the run or of one above it",
    "max_tokens": "the run's token budget was passed",
    "max_cost": "the run's cost budget was passed",
    "timeout": "the run's time limit passed",
    "cancelled": "the run was cancelled",
}


def end(tx: Tx, record: RunRecord, ending: Ending) -> bool:
    """The end of a run, its terminal event last; false where it had ended before."""
    run_id = record.run.id
    if tx.ended(run_id):
        return False
    _answer_all(tx, record, WHY.get(ending.stop_reason, "the run ended"))
    if ending.status == "completed" and ending.stop_reason in ("end_turn", "max_turns", "max_tool_calls"):
        for step in steps.list_steps(tx.connection, run_id):
            steps.complete(tx, run_id, step.index)
    text = _output_text(tx, record)
    wants_json = record.request.output is not None
    outcome = RunOutcome(
        status=ending.status if ending.status in ("completed", "failed", "cancelled") else "timed_out",
        stop_reason=ending.stop_reason,
        error=_error(ending),
        output_text=text,
        output=_parsed(text) if wants_json and text else None,
    )
    return run_end.end(tx, run_id, outcome)


def _answer_all(tx: Tx, record: RunRecord, why: str) -> None:
    """No tool call dangles: what was not executed gets an error result that says so."""
    text = "".join(part.text for part in not_executed(why))
    for execution in tool_executions.unfinished(tx.connection, record.run.id):
        synthesize(tx, record.history, execution, text)


def _output_text(tx: Tx, record: RunRecord) -> str | None:
    """What the model said after its last tool call."""
    said: list[str] = []
    _, head = blocks.head(tx.connection, record.history)
    for block in reversed(_of_run(head, record)):
        if isinstance(block, ToolCallBlock) or (said and not isinstance(block, ResponseBlock)):
            break
        if isinstance(block, ResponseBlock):
            said.append(text_of(block.content))
    return "".join(reversed(said)) or None


def _of_run(head: list[Block], record: RunRecord) -> list[Block]:
    return [block for block in head if block.run_id == record.run.id]


def _parsed(text: str) -> JSONObject | None:
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _error(ending: Ending) -> ErrorBody | None:
    if ending.code is None:
        return None
    family = ending.code.partition(".")[0]
    types: dict[str, ErrorType] = {
        "git": "invalid_request_error",
        "policy": "permission_error",
        "provider": "provider_error",
    }
    return ErrorBody(
        type=types.get(family, "api_error"),
        code=ending.code,
        message=ending.message or "",
        param=ending.param,
    )
