"""How an interrupt is taken up: what ran is told as interrupted, the words said so far are kept or not, and
the message that came with it stands next in the head."""

from protocol.block import ResponseBlock, TextPart
from protocol.event import RunInterrupted
from protocol.ids import BlockId, CallId, derived
from records import blocks, calls, checkpoints, effects, events, runs, steps, tool_executions
from records.run_record import RunRecord
from records.tx import Tx
from worker.results import synthesize
from workflows.messages import InterruptOrder

MARK = "\n[interrupted]"


def take_up(tx: Tx, record: RunRecord, order: InterruptOrder) -> None:
    """Once per interrupt: its event is keyed by the step that it stopped."""
    run_id = order.run_id
    told = RunInterrupted(behavior=order.behavior)
    if tx.append(run_id, told, key=f"interrupted:{order.step}:{order.block_id or ''}") is None:
        return
    runs.set_running(tx, run_id)
    checkpoints.cancel_open(tx, run_id)
    for execution in tool_executions.unfinished(tx.connection, run_id):
        tool_executions.cancel(tx, execution.id, "interrupted" if execution.attempt else "not_executed")
        text = "The call was interrupted by the user."
        synthesize(tx, record.history, execution, text)
    effects.abandon_claims(tx, run_id)
    if order.behavior != "discard":
        _keep_words(tx, record, order)
    calls.interrupt(tx, run_id)
    steps.interrupt(tx, run_id)
    if order.block_id is not None:
        blocks.enter(tx, record.history, [BlockId(order.block_id)])


def _keep_words(tx: Tx, record: RunRecord, order: InterruptOrder) -> None:
    """The text that was streamed by the call that was stopped, as a truncated response."""
    running = [call for call in calls.list_calls(tx.connection, order.run_id) if call.status == "running"]
    for call in running:
        text = events.text_of_call(tx.connection, order.run_id, CallId(call.id), call.attempt)
        if not text:
            continue
        if order.behavior == "save_marked":
            text += MARK
        block = ResponseBlock(
            id=BlockId(derived("blk_", call.id, 0, "partial")),
            session_id=record.run.session_id,
            run_id=record.run.id,
            call_id=call.id,
            created_at=tx.now,
            content=(TextPart(text=text),),
            truncated=True,
        )
        blocks.add(tx, record.history, [block])
