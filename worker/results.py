"""How a tool call gets its one result: outcome, event and the block that the model sees, in one commit."""

import json
from typing import Literal

from capabilities.gate import Deny
from capabilities.labels import LabelTable
from harness.state import Ending
from protocol.block import TextPart, ToolCallBlock, ToolResultBlock
from protocol.checkpoint import Checkpoint
from protocol.digest import digest_bytes
from protocol.ids import BlockId, derived
from protocol.noun import JSON
from protocol.tool import ToolExecution, ToolOutcome
from records import blocks, effects, receipts, taints, tool_executions
from records.run_record import RunRecord
from records.tool_executions import NewToolExecution, ToolResult
from records.tx import Tx
from records.writer import Writer
from worker.act import PREVIEW, Result, cut, failure
from worker.failpoints import Failpoints
from worker.known_runs import KnownRun
from worker.safety import Safety
from workflows.messages import ActDone

REFUSALS = {
    "denied": "A person denied this call",
    "expired": "Nobody answered in time, so this call was not executed",
    "cancelled": "This call was cancelled",
    "revoked": "The approval was taken back, so this call was not executed",
}


class Results:
    """The end of a tool call."""

    def __init__(self, writer: Writer, labels: LabelTable, safety: Safety, failpoints: Failpoints) -> None:
        self._writer = writer
        self._labels = labels
        self._safety = safety
        self._failpoints = failpoints

    async def settle(
        self,
        known: KnownRun,
        execution: ToolExecution,
        epoch: int | None,
        result: Result,
        *,
        duration_ms: int = 0,
    ) -> ActDone:
        """Without an epoch nothing was claimed. A stale epoch changes nothing: its successor tells."""
        result = await self._safety.result(known, execution, result)
        result = result.model_copy(update={"text": _after_edit(execution, result.text)})
        state: Literal["succeeded", "failed"] = "failed" if result.is_error else "succeeded"

        def unit(tx: Tx) -> bool:
            if epoch is not None and not effects.settle(tx, execution.id, epoch, state, result.effect):
                return False
            for piece in result.untold:
                tool_executions.append_output(tx, execution.run_id, piece.output, piece.size)
            if not tool_executions.complete(tx, execution.id, None, _told(result, duration_ms)):
                return False
            self._failpoints.reach("before_event", execution.tool)
            labels = self._labels_of(known, execution, result)
            taints.add(tx, known.record.history, execution, labels)
            _tell_model(tx, known.record.history, execution, result, epoch or 0, labels)
            return True

        self._failpoints.reach("before_result", execution.tool)
        await self._writer.commit(unit, runs=[execution.run_id])
        self._failpoints.reach("before_completion", execution.tool)
        wrote = epoch is not None and execution.effect == "workspace"
        return ActDone(wrote=wrote, ending=_ending(execution, result.is_error, result.outcome, result.text))

    def _labels_of(self, known: KnownRun, execution: ToolExecution, result: Result) -> tuple[str, ...]:
        """Whatever was carried out labels its result, also where it failed: an error has words as well."""
        grant = known.snapshot.grant_for(execution.tool)
        if grant is None or result.outcome in ("denied", "expired", "not_executed"):
            return ()
        return tuple(sorted({*self._labels.of(grant), *result.labels}))

    async def deny(self, known: KnownRun, execution: ToolExecution, denial: Deny) -> ActDone:
        text = _after_edit(execution, f"Denied by the rule {denial.rule}: {denial.reason}.")
        result = Result(text=text, is_error=True, outcome="denied")

        def unit(tx: Tx) -> None:
            if tool_executions.deny(tx, execution.id, denial.rule, denial.reason):
                receipts.ruled(tx, execution.run_id, execution.id, denial.ruling)
                _tell_model(tx, known.record.history, execution, result, 0)

        await self._writer.commit(unit, runs=[execution.run_id])
        return ActDone(ending=_ending(execution, result.is_error, result.outcome, result.text))

    async def refuse(self, known: KnownRun, execution: ToolExecution, checkpoint: Checkpoint) -> ActDone:
        """Deny, expiry and the like are results that the model sees, and the run goes on."""
        words = REFUSALS[checkpoint.status]
        if checkpoint.kind == "client_tool" and checkpoint.status == "expired":
            words = "The application did not submit a result in time"
        reason = checkpoint.decisions[-1].reason if checkpoint.decisions else None
        text = f"{words}: {reason}" if reason else f"{words}."
        outcome = "expired" if checkpoint.status == "expired" else "denied"
        return await self.settle(known, execution, None, Result(text=text, is_error=True, outcome=outcome))

    async def answer(
        self, known: KnownRun, execution: ToolExecution, checkpoint: Checkpoint, submitted: JSON
    ) -> ActDone:
        """What a person or the application answered, as the call's result."""
        if checkpoint.kind == "client_tool":
            return await self.settle(known, execution, None, _of_client(submitted))
        given = checkpoint.decisions[-1].answer if checkpoint.decisions else None
        return await self.settle(known, execution, None, Result(text=cut(_text(given))))


def already(execution: ToolExecution) -> ActDone:
    """What was told of a call that has its result."""
    told = (execution.is_error or execution.status == "denied", execution.outcome, execution.preview or "")
    return ActDone(wrote=execution.effect == "workspace", ending=_ending(execution, *told))


def _ending(
    execution: ToolExecution, is_error: bool, outcome: ToolOutcome | None, text: str
) -> Ending | None:
    """A run whose workspace cannot be set up as asked ends before its first step."""
    denied = execution.status == "denied" or outcome in ("denied", "expired")
    if execution.step != 0 or not is_error or not (denied or outcome == "failed"):
        return None
    code, reason = ("target.setup_denied", "denied") if denied else ("target.setup_failed", "error")
    return Ending.model_validate(
        {"status": "failed", "stop_reason": reason, "code": code, "message": text[-PREVIEW:]}
    )


def synthesize(tx: Tx, history: str, execution: ToolExecution, text: str) -> None:
    """The error result of a call that will never have one of its own, so that no call dangles."""
    if execution.step == 0:
        return
    blocks.drop(tx, _formers(execution, execution.attempt + 1))
    blocks.add(tx, history, [_block(tx, execution, failure(_after_edit(execution, text)))])


def refuse_unread(tx: Tx, record: RunRecord, execution: NewToolExecution, block: ToolCallBlock) -> None:
    """A call whose arguments are cut or no JSON object is answered at once, and never executed."""
    raw = (block.arguments_raw or "")[:PREVIEW]
    how = "were cut off" if block.arguments_state == "truncated" else "are not a JSON object"
    result = failure(f"The call was not executed: its arguments {how}. They were: {raw}")
    if tool_executions.complete(tx, execution.id, None, _told(result, 0)):
        made = tool_executions.get(tx.connection, execution.id)
        assert made is not None
        _tell_model(tx, record.history, made, result, 0)


def _after_edit(execution: ToolExecution, text: str) -> str:
    """What the model wrote is not what was done, where a person changed it."""
    if not execution.edits:
        return text
    arguments = cut(json.dumps(execution.arguments, ensure_ascii=False), limit=PREVIEW)
    return f"A person changed the arguments of this call to {arguments}\n{text}"


def _tell_model(
    tx: Tx,
    history: str,
    execution: ToolExecution,
    result: Result,
    epoch: int,
    labels: tuple[str, ...] = (),
) -> None:
    """The one result in the head: a later attempt's takes the place of an earlier one's. What no model has
    called has none."""
    if execution.step == 0:
        return
    if epoch > 1:
        blocks.drop(tx, _formers(execution, epoch))
    block = _block(tx, execution, result, epoch)
    blocks.add(tx, history, [block.model_copy(update={"labels": labels})])


def _formers(execution: ToolExecution, epoch: int) -> list[BlockId]:
    """The results that earlier attempts may have left: what they did was lost with their box."""
    return [BlockId(derived("blk_", execution.id, number, "result")) for number in range(1, epoch)]


def _block(tx: Tx, execution: ToolExecution, result: Result, epoch: int = 0) -> ToolResultBlock:
    return ToolResultBlock(
        id=BlockId(derived("blk_", execution.id, epoch, "result")),
        session_id=execution.session_id,
        run_id=execution.run_id,
        created_at=tx.now,
        tool_call_id=execution.tool_call_id,
        is_error=result.is_error,
        content=(TextPart(text=result.text),),
    )


def _told(result: Result, duration_ms: int) -> ToolResult:
    return ToolResult(
        outcome=result.outcome,
        is_error=result.is_error,
        result_digest=digest_bytes(result.text.encode()),
        preview=result.text[:PREVIEW],
        duration_ms=duration_ms,
        exit_code=result.exit_code,
    )


def _of_client(submitted: JSON) -> Result:
    if isinstance(submitted, dict) and submitted.get("error") is not None:
        return failure(cut(_text(submitted["error"])))
    output = submitted.get("output") if isinstance(submitted, dict) else submitted
    return Result(text=cut(_text(output)))


def _text(value: JSON) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
