"""One tool call between the story and the body of its port: what is ordered, what came of it."""

from collections.abc import Awaitable, Callable
from typing import Any

from harness import loop
from harness.state import PendingCall, RunState
from protocol.ids import CheckpointId, RunId, ToolExecutionId
from workflows import messages, ports

Port = Callable[[Any, Any], Awaitable[messages.ActResult]]


def ordered(run_id: RunId, call: PendingCall) -> tuple[Port, messages.ToolAct]:
    """Who carries the call on, and with what."""
    execution = call.tool_execution_id
    if call.phase == "ready":
        return ports.ToolCalls.act, messages.ToolAct(run_id=run_id, tool_execution_id=execution)
    answered = call.checkpoint_id or CheckpointId("")
    redeem = messages.ToolRedeem(run_id=run_id, tool_execution_id=execution, checkpoint_id=answered)
    return ports.ToolCalls.redeem, redeem


def noted(state: RunState, execution: ToolExecutionId, result: messages.ActResult | None) -> RunState:
    match result:
        case messages.ActDone(wrote=wrote, ending=ending):
            settled = loop.Settled(tool_execution_id=execution, wrote=wrote, ending=ending)
            return loop.after_tool(state, settled)
        case messages.ActAsked(checkpoint_id=checkpoint, expires_at=due):
            asked = loop.Asked(tool_execution_id=execution, checkpoint_id=checkpoint, expires_at=due)
            return loop.after_tool(state, asked)
        case messages.ActSpawned(child_run_id=child):
            return loop.after_tool(state, loop.Spawned(tool_execution_id=execution, child_run_id=child))
        case messages.ActLost() | messages.ActStopped() | messages.ActHeld() | None:
            return state
