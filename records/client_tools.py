"""Results that the application hands in for its own tools: the first counts, the same again is welcome."""

import orjson
from sqlalchemy import Connection, bindparam, select, update

from protocol.checkpoint import Checkpoint
from protocol.digest import digest
from protocol.ids import RunId, ToolExecutionId
from protocol.noun import JSONObject, Noun
from protocol.principal import Caller
from records import bodies, checkpoints
from records.decisions import Decided, Outcome, Verdict, count
from records.tables import tool_executions
from records.tx import Tx

t = tool_executions.c
_SUBMITTED = select(t.submitted).where(t.id == bindparam("of"))


class SameAgain(Noun):
    """This very result was handed in before."""


class ResultConflict(Noun):
    """Another result was handed in before."""


class NoSuchClientTool(Noun):
    pass


class TooLate(Noun):
    """Nobody waits for the result any more; the checkpoint tells why."""

    checkpoint: Checkpoint


Submitted = Decided | SameAgain | ResultConflict | NoSuchClientTool | TooLate


def submit(
    tx: Tx, caller: Caller, run_id: RunId, execution: ToolExecutionId, result: JSONObject
) -> Submitted:
    """`result` is `{"output": ...}` or `{"error": ...}`; under the run's lock."""
    query = select(t.checkpoint_id, t.submitted_digest).where(t.id == execution, t.run_id == run_id)
    row = tx.connection.execute(query).first()
    checkpoint = checkpoints.get(tx.connection, caller.tenant, row.checkpoint_id) if row else None
    if row is None or checkpoint is None or checkpoint.kind != "client_tool":
        return NoSuchClientTool()
    result_digest = digest(result)
    if row.submitted_digest is not None:
        return SameAgain() if row.submitted_digest == result_digest else ResultConflict()
    if checkpoint.status != "open" or checkpoint.expires_at <= tx.now:
        return TooLate(checkpoint=checkpoint)
    kept = bodies.stow(tx.connection, orjson.dumps(result).decode())
    tx.connection.execute(
        update(tool_executions)
        .where(t.id == execution)
        .values(submitted=kept, submitted_digest=result_digest)
    )
    outcome: Outcome = count(tx, caller, checkpoint, Verdict(decision="answer"))
    return outcome if isinstance(outcome, Decided) else TooLate(checkpoint=checkpoint)


def result_of(connection: Connection, execution: ToolExecutionId) -> JSONObject | None:
    """What was handed in."""
    kept = connection.execute(_SUBMITTED, {"of": execution}).scalar()
    return None if kept is None else orjson.loads(bodies.fetch(connection, kept))
