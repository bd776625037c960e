"""Tool executions: from the model's request to the result that the model sees, each told once."""

from collections.abc import Collection
from typing import Any, Literal

import orjson
from sqlalchemy import Connection, bindparam, func, select, update

from protocol.digest import digest, digest_bytes
from protocol.event import ToolCompleted, ToolDenied, ToolOutput, ToolRequested, ToolStarted
from protocol.ids import CheckpointId, RunId, SessionId, ToolExecutionId
from protocol.noun import JSONObject, Noun
from protocol.target import Offsets
from protocol.tool import Effect, ToolExecution, ToolOutcome, ToolSource
from records import bodies
from records.columns import AnyRow
from records.conflicts import insert_unless_there
from records.tables import tool_executions
from records.tx import Tx

t = tool_executions.c
_OVER = ("completed", "denied", "cancelled")

# Statements that every step executes are built once: building one costs ten times its execution.
_ALL = select(*(t[name] for name in ToolExecution.model_fields))
_ONE = _ALL.where(t.id == bindparam("of"))
_OPEN = update(tool_executions).where(t.id == bindparam("of"), t.status.not_in(_OVER))
_EDIT = _OPEN.where(t.status == "waiting").values(edits=t.edits + 1)
_BEGIN = _OPEN.values(
    attempt=t.attempt + 1,
    status="claimed",
    stdout_bytes=0,
    stderr_bytes=0,
    started_at=func.coalesce(t.started_at, bindparam("now", type_=t.started_at.type)),
).returning(t.attempt, t.run_id)
_END = _OPEN.returning(t.run_id, t.attempt)
_END_ATTEMPT = _END.where(t.attempt == bindparam("by"))
_SO_FAR = select(t.attempt, t.stdout_bytes, t.stderr_bytes).where(t.id == bindparam("of"))
_GROWN = update(tool_executions).where(
    t.id == bindparam("of"), t.attempt == bindparam("by"), t.status == "claimed"
)
_TOLD = {
    stream: _GROWN.where(told == bindparam("so_far")).values({told.key: bindparam("now")})
    for stream, told in (("stdout", t.stdout_bytes), ("stderr", t.stderr_bytes))
}


class NewToolExecution(Noun):
    id: ToolExecutionId
    run_id: RunId
    session_id: SessionId
    step: int
    ordinal: int
    tool_call_id: str
    tool: str
    source: ToolSource
    effect: Effect
    arguments: JSONObject


class ToolResult(Noun):
    """`preview` is the beginning of what the model sees, `result_digest` covers all of it."""

    outcome: ToolOutcome
    is_error: bool
    result_digest: str
    preview: str
    duration_ms: int = 0
    exit_code: int | None = None


def request(tx: Tx, new: NewToolExecution) -> bool:
    """False where a former try has recorded it."""
    arguments_digest = digest(new.arguments)
    kept = bodies.stow(tx.connection, orjson.dumps(new.arguments).decode())
    row = new.model_dump() | {
        "arguments": kept,
        "arguments_digest": arguments_digest,
        "status": "requested",
        "created_at": tx.now,
    }
    if not insert_unless_there(tx.connection, tool_executions, row):
        return False
    inline = not bodies.is_long(kept)
    event = ToolRequested(
        step=new.step,
        tool_execution_id=new.id,
        tool_call_id=new.tool_call_id,
        tool=new.tool,
        source=new.source,
        arguments=new.arguments if inline else None,
        arguments_digest=None if inline else arguments_digest,
        effect=new.effect,
    )
    tx.append(new.run_id, event, key=f"tool:{new.id}:requested")
    return True


def start(tx: Tx, execution: ToolExecutionId) -> int | None:
    """The number of a new attempt, told to the stream; None where the execution is over."""
    row = tx.connection.execute(_BEGIN, {"of": execution, "now": tx.now}).first()
    if row is None:
        return None
    started = ToolStarted(tool_execution_id=execution, attempt=row.attempt)
    tx.append(row.run_id, started, key=f"tool:{execution}:{row.attempt}:started")
    return row.attempt


def wait(tx: Tx, execution: ToolExecutionId, checkpoint_id: CheckpointId) -> bool:
    """It waits for somebody; false where it is over."""
    waiting = {"of": execution, "status": "waiting", "checkpoint_id": checkpoint_id}
    return tx.connection.execute(_OPEN, waiting).rowcount == 1


def edit(tx: Tx, execution: ToolExecutionId, arguments: JSONObject) -> bool:
    """A person changed the arguments while it waited: it is to be begun with these, and waits for nobody.
    False where it does not wait."""
    values = {
        "of": execution,
        "arguments": bodies.stow(tx.connection, orjson.dumps(arguments).decode()),
        "arguments_digest": digest(arguments),
        "status": "requested",
        "checkpoint_id": None,
    }
    return tx.connection.execute(_EDIT, values).rowcount == 1


def append_output(tx: Tx, run_id: RunId, output: ToolOutput, size: int) -> bool:
    """Tell a piece of output that is `size` bytes long, or what of it is new where another worker has told
    its beginning; false where it is not the next one of its stream."""
    if tx.ended(run_id):
        return False
    grown = {
        "of": output.tool_execution_id,
        "by": output.attempt,
        "so_far": output.offset,
        "now": output.offset + size,
    }
    if tx.connection.execute(_TOLD[output.stream], grown).rowcount == 0:
        rest = _untold(tx.connection, output, size)
        return rest is not None and append_output(tx, run_id, rest, len(rest.delta.encode()))
    tx.append(run_id, output)
    return True


def _untold(connection: Connection, output: ToolOutput, size: int) -> ToolOutput | None:
    """The end of a piece whose beginning is told; None where there is none, or its bytes were no text."""
    attempt, known = told(connection, output.tool_execution_id)
    so_far = known.stdout if output.stream == "stdout" else known.stderr
    data = output.delta.encode()
    if attempt != output.attempt or len(data) != size or not output.offset < so_far < output.offset + size:
        return None
    rest = data[so_far - output.offset :].decode(errors="replace")
    return output.model_copy(update={"offset": so_far, "delta": rest})


def complete(tx: Tx, execution: ToolExecutionId, attempt: int | None, result: ToolResult) -> bool:
    """The result that the model sees; false where it has one, or another attempt than the given has begun."""
    return _end(tx, execution, "completed", result, attempt)


def cancel(tx: Tx, execution: ToolExecutionId, outcome: Literal["interrupted", "not_executed"]) -> bool:
    """It will have no result of its own; false where it has one."""
    text = outcome.replace("_", " ")
    preview = ToolResult(
        outcome=outcome, is_error=True, result_digest=digest_bytes(text.encode()), preview=text
    )
    return _end(tx, execution, "cancelled", preview, None)


def deny(tx: Tx, execution: ToolExecutionId, rule: str, reason: str) -> bool:
    values = {"status": "denied", "outcome": "denied", "is_error": True, "preview": reason}
    denied = values | {"of": execution, "completed_at": tx.now}
    run_id = tx.connection.execute(_END, denied).scalar()
    if run_id is None:
        return False
    body = ToolDenied(tool_execution_id=execution, rule=rule, reason=reason)
    tx.append(run_id, body, key=f"tool:{execution}:completed")
    return True


def reopen(tx: Tx, execution: ToolExecutionId) -> None:
    """What it did is lost with its box: the call is to be made again, as a new attempt."""
    tx.connection.execute(
        update(tool_executions)
        .where(t.id == execution, t.status.in_(("claimed", "completed")))
        .values(status="requested", outcome=None, is_error=None, completed_at=None)
    )


def get(connection: Connection, execution: ToolExecutionId) -> ToolExecution | None:
    row = connection.execute(_ONE, {"of": execution}).first()
    return None if row is None else execution_of(connection, row)


def list_executions(connection: Connection, run_id: RunId, *, step: int | None = None) -> list[ToolExecution]:
    query = _ALL.where(t.run_id == run_id).order_by(t.step, t.ordinal)
    if step is not None:
        query = query.where(t.step == step)
    return [execution_of(connection, row) for row in connection.execute(query)]


def by_ids(connection: Connection, ids: Collection[ToolExecutionId]) -> list[ToolExecution]:
    return [execution_of(connection, row) for row in connection.execute(_ALL.where(t.id.in_(ids)))]


def unfinished(connection: Connection, run_id: RunId) -> list[ToolExecution]:
    query = _ALL.where(t.run_id == run_id, t.status.not_in(_OVER)).order_by(t.step, t.ordinal)
    return [execution_of(connection, row) for row in connection.execute(query)]


def told(connection: Connection, execution: ToolExecutionId) -> tuple[int, Offsets]:
    """The present attempt, and how far its output is told."""
    row = connection.execute(_SO_FAR, {"of": execution}).one()
    return row.attempt, Offsets(stdout=row.stdout_bytes, stderr=row.stderr_bytes)


def _end(tx: Tx, execution: ToolExecutionId, status: str, result: ToolResult, attempt: int | None) -> bool:
    values: dict[str, Any] = {name: getattr(result, name) for name in ToolResult.model_fields}
    ended = values | {"of": execution, "status": status, "completed_at": tx.now}
    if attempt is None:
        row = tx.connection.execute(_END, ended).first()
    else:
        row = tx.connection.execute(_END_ATTEMPT, ended | {"by": attempt}).first()
    if row is None:
        return False
    body = ToolCompleted(tool_execution_id=execution, attempt=row.attempt, **values)
    tx.append(row.run_id, body, key=f"tool:{execution}:{row.attempt}:completed")
    return True


def execution_of(connection: Connection, row: AnyRow) -> ToolExecution:
    fields = {name: getattr(row, name) for name in ToolExecution.model_fields}
    fields["arguments"] = orjson.loads(bodies.fetch(connection, row.arguments))
    return ToolExecution.model_validate(fields)
