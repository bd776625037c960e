"""Runs whose waiting call a person changes: what is done is what was agreed to, and the model is told."""

import pytest

from protocol.checkpoint import Checkpoint
from protocol.digest import digest
from protocol.ids import RunId
from records import checkpoints, tool_executions
from tests.processes import until
from tests.stack import Stack, of_type
from worker.failpoints import Point

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

TOOL = "count_non_idempotent_write"
ONE_SHOT = {"kind": "tool", "name": TOOL, "approval": "ask"}
RISKY = {"kind": "tool", "name": TOOL}
BASH = {"kind": "tool", "name": "bash", "approval": "ask"}
PICK = {
    "kind": "client_tool",
    "name": "pick_file",
    "description": "Lets the user pick a file.",
    "input_schema": {"type": "object", "properties": {"folder": {"type": "string"}}},
    "effect": "read_only",
    "approval": "ask",
    "timeout_ms": 60_000,
}
CHANGED = "I got: A person changed the arguments of this call to "

SCRIPT = r"""
[[scenarios]]
when = "^one act"
[[scenarios.turns]]
tool_calls = [{ name = "count_non_idempotent_write", arguments = { note = "this" } }]
[[scenarios.turns]]
text = "I got: {last_result}"

[[scenarios]]
when = "^a risky act"
[[scenarios.turns]]
tool_calls = [{ name = "count_non_idempotent_write", arguments = { note = "risky" } }]
[[scenarios.turns]]
text = "I got: {last_result}"

[[scenarios]]
when = "^a file"
[[scenarios.turns]]
tool_calls = [{ name = "pick_file", arguments = { folder = "a" } }]
[[scenarios.turns]]
text = "I got: {last_result}"

[[scenarios]]
when = "^a command"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo -n first >> a.txt; cat a.txt" } }]
[[scenarios.turns]]
text = "I got: {last_result}"
"""


async def status_of(stack: Stack, checkpoint: Checkpoint) -> str:
    found = await stack.read(lambda connection: checkpoints.load(connection, checkpoint.id))
    assert found is not None
    return found.status


async def edited(stack: Stack, run: RunId, note: str, number: int = 1) -> Checkpoint:
    checkpoint = await stack.checkpoint(run, number)
    await stack.waits(run, number)
    await stack.decide(checkpoint, "approve", arguments={"note": note})
    return checkpoint


async def test_a_changed_act_asks_anew_and_is_done_once_as_it_was_agreed_to(stack: Stack) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    first = await edited(stack, run, "that")
    second = await stack.checkpoint(run, 2)
    assert (second.kind, second.arguments, second.rule) == ("approval", {"note": "that"}, first.rule)
    assert second.envelope is not None
    assert second.envelope.arguments == {"note": "that"}
    assert second.envelope_digest == digest(second.envelope) != first.envelope_digest
    assert "that" in second.rendered
    await stack.waits(run, 2)
    await stack.decide(second, "approve")
    told = await stack.ended(run)
    assert [event["type"] for event in told if event["type"].startswith(("checkpoint.", "run."))] == [
        "run.created",
        "run.started",
        "checkpoint.opened",
        "run.waiting",
        "checkpoint.decided",
        "run.resumed",
        "checkpoint.revoked",
        "checkpoint.opened",
        "run.waiting",
        "checkpoint.decided",
        "run.resumed",
        "checkpoint.redeemed",
        "run.completed",
    ]
    assert of_type(told, "checkpoint.redeemed")[0]["checkpoint_id"] == second.id
    assert len(stack.counted(told)) == 1
    assert told[-1]["output_text"].startswith(CHANGED + '{"note": "that"}\ncounted ')
    [execution] = await stack.read(lambda connection: tool_executions.list_executions(connection, run))
    assert (execution.arguments, execution.edits) == ({"note": "that"}, 1)


async def test_an_act_may_be_changed_there_and_back_again(stack: Stack) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    first = await edited(stack, run, "that")
    await edited(stack, run, "this", 2)
    third = await stack.checkpoint(run, 3)
    assert (third.id != first.id, third.envelope_digest) == (True, first.envelope_digest)
    await stack.decide(third, "approve")
    told = await stack.ended(run)
    assert len(stack.counted(told)) == 1
    assert told[-1]["output_text"].startswith(CHANGED + '{"note": "this"}\ncounted ')


async def test_an_act_that_is_changed_to_a_forbidden_one_is_denied_by_its_rule(stack: Stack) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    checkpoint = await edited(stack, run, "forbidden")
    told = await stack.ended(run)
    assert of_type(told, "tool_execution.denied")[0]["rule"] == "test.no-forbidden-notes"
    assert told[-1]["output_text"].startswith(
        CHANGED + '{"note": "forbidden"}\nDenied by the rule test.no-forbidden-notes'
    )
    assert (stack.counted(told), await status_of(stack, checkpoint)) == ([], "revoked")


async def test_an_act_that_is_changed_to_a_harmless_one_goes_on_unasked(stack: Stack) -> None:
    run = await stack.create("a risky act", capabilities=[RISKY])
    checkpoint = await edited(stack, run, "harmless")
    told = await stack.ended(run)
    assert len(of_type(told, "checkpoint.opened")) == 1
    assert (len(stack.counted(told)), await status_of(stack, checkpoint)) == (1, "revoked")


async def test_an_act_that_is_changed_and_then_denied_is_not_done(stack: Stack) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    await edited(stack, run, "that")
    await stack.decide(await stack.checkpoint(run, 2), "deny", reason="neither")
    told = await stack.ended(run)
    assert stack.counted(told) == []
    assert told[-1]["output_text"] == CHANGED + '{"note": "that"}\nA person denied this call: neither'


async def test_the_application_gets_the_arguments_that_a_person_changed(stack: Stack) -> None:
    run = await stack.create("a file", capabilities=[PICK])
    await stack.decide(await stack.checkpoint(run), "approve", arguments={"folder": "b"})
    await stack.decide(await stack.checkpoint(run, 2), "approve")
    handed = await stack.checkpoint(run, 3)
    assert (handed.kind, handed.arguments) == ("client_tool", {"folder": "b"})
    assert handed.tool_execution_id is not None
    await stack.submit(run, handed.tool_execution_id, {"output": "b/c.txt"})
    told = await stack.ended(run)
    assert told[-1]["output_text"] == CHANGED + '{"folder": "b"}\nb/c.txt'


async def test_an_edit_that_a_cancel_overtakes_does_nothing(stack: Stack) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    checkpoint = await stack.checkpoint(run)
    await stack.waits(run)
    await stack.cancel(run)
    await stack.decide(checkpoint, "approve", arguments={"note": "that"})
    told = await stack.ended(run)
    assert (told[-1]["type"], stack.counted(told)) == ("run.cancelled", [])


@pytest.mark.docker
async def test_a_changed_command_is_the_one_that_runs(stack: Stack) -> None:
    run = await stack.create("a command", capabilities=[BASH], target={"kind": "workspace", "name": "dev"})
    command = "echo -n second >> a.txt; cat a.txt"
    await stack.decide(await stack.checkpoint(run), "approve", arguments={"command": command})
    second = await stack.checkpoint(run, 2)
    assert command in second.rendered
    await stack.decide(second, "approve")
    told = await stack.ended(run)
    assert len(of_type(told, "tool_execution.started")) == 1
    assert told[-1]["output_text"].endswith("\nsecond")


@pytest.mark.faults
@pytest.mark.parametrize("point", ["after_edit", "during_approval"])
async def test_a_worker_that_dies_with_an_edit_in_its_hands_leaves_it_to_its_heir(
    stack: Stack, point: Point
) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    checkpoint = await stack.checkpoint(run)
    await stack.waits(run)
    stack.arm(point, TOOL)
    await stack.decide(checkpoint, "approve", arguments={"note": "that"})
    assert await until(lambda: stack.fired(point), 60, "it did not die")
    await stack.start_worker()
    await stack.decide(await stack.checkpoint(run, 2), "approve")
    told = await stack.ended(run)
    assert len(of_type(told, "checkpoint.opened")) == 2
    assert len(stack.counted(told)) == 1
    assert told[-1]["output_text"].startswith(CHANGED + '{"note": "that"}\ncounted ')
