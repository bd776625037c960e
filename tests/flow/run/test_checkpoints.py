"""Runs that wait for somebody: approvals, questions and client tools, each to each of its ends."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from protocol.inbox import Cancel
from records import checkpoints
from records.client_tools import SameAgain
from records.decisions import Closed, Decided
from tests.stack import Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

ONE_SHOT = {"kind": "tool", "name": "count_non_idempotent_write", "approval": "ask"}
WRITE = {"kind": "tool", "name": "count_idempotent_write", "approval": "ask"}
READ = {"kind": "tool", "name": "count_read_only"}
ASK = {"kind": "tool", "name": "ask_user"}
PICK: dict[str, Any] = {
    "kind": "client_tool",
    "name": "pick_file",
    "description": "Lets the user pick a file.",
    "input_schema": {"type": "object", "properties": {}, "additionalProperties": False},
    "effect": "read_only",
    "timeout_ms": 60_000,
}

TABLES = {"checkpoints": "[checkpoints]\nexpires_in_s = 60\n"}

SCRIPT = """
[[scenarios]]
when = "^one act"
[[scenarios.turns]]
tool_calls = [{ name = "count_non_idempotent_write", arguments = { note = "this" } }]
[[scenarios.turns]]
text = "I got: {last_result}"

[[scenarios]]
when = "^two acts"
[[scenarios.turns]]
tool_calls = [
  { name = "count_non_idempotent_write", arguments = { note = "this" } },
  { name = "count_idempotent_write", arguments = { note = "that" } },
  { name = "count_read_only" },
]
[[scenarios.turns]]
text = "I got: {last_result}"

[[scenarios]]
when = "^a question"
[[scenarios.turns]]
tool_calls = [{ name = "ask_user", arguments = { question = "Which colour?", options = ["red", "blue"] } }]
[[scenarios.turns]]
text = "So it is {last_result}."

[[scenarios]]
when = "^a file"
[[scenarios.turns]]
tool_calls = [{ name = "pick_file" }]
[[scenarios.turns]]
text = "I got: {last_result}"
"""


async def test_an_approved_act_is_redeemed_and_happens_once(stack: Stack) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    checkpoint = await stack.checkpoint(run)
    await stack.waits(run)
    assert (checkpoint.kind, checkpoint.status, checkpoint.arguments) == (
        "approval",
        "open",
        {"note": "this"},
    )
    assert checkpoint.envelope is not None
    assert "Tool: count_non_idempotent_write" in checkpoint.rendered
    assert "this" in checkpoint.rendered
    assert checkpoint.rendered.endswith("How it can be undone\n  | Take one off the counter.\n")
    assert isinstance(await stack.decide(checkpoint, "approve", reason="fine"), Decided)
    told = await stack.ended(run)
    assert [event["type"] for event in told if event["type"].startswith(("checkpoint.", "run."))] == [
        "run.created",
        "run.started",
        "checkpoint.opened",
        "run.waiting",
        "checkpoint.decided",
        "run.resumed",
        "checkpoint.redeemed",
        "run.completed",
    ]
    assert len(stack.counted(told)) == 1
    assert told[-1]["output_text"] == "I got: counted 1"


async def test_a_hundred_approvals_and_as_many_signals_make_one_act(stack: Stack) -> None:
    """APR-04."""
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    checkpoint = await stack.checkpoint(run)
    answers = await asyncio.gather(*(stack.decide(checkpoint, "approve") for _ in range(100)))
    assert all(isinstance(answer, Decided) for answer in answers)
    told = await stack.ended(run)
    assert len(stack.counted(told)) == 1
    for kind in ("checkpoint.decided", "checkpoint.redeemed", "tool_execution.started"):
        assert len(of_type(told, kind)) == 1, kind


async def test_a_denied_act_is_an_error_result_with_its_reason_and_the_run_goes_on(stack: Stack) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    await stack.decide(await stack.checkpoint(run), "deny", reason="not on a Friday")
    told = await stack.ended(run)
    assert stack.counted(told) == []
    assert told[-1]["type"] == "run.completed"
    assert told[-1]["output_text"] == "I got: A person denied this call: not on a Friday"
    assert of_type(told, "tool_execution.completed")[0]["outcome"] == "denied"


async def test_a_decision_that_comes_with_the_opening_is_heard(stack: Stack) -> None:
    """Whoever follows the stream may answer before the engine knows that there is a question."""
    made = await asyncio.gather(*(stack.create("one act", capabilities=[ONE_SHOT]) for _ in range(12)))

    async def decide_at_once(run_id: Any) -> None:
        await stack.decide(await stack.checkpoint(run_id), "approve")

    await asyncio.gather(*(decide_at_once(run) for run in made))
    for run in made:
        told = await stack.ended(run)
        assert len(stack.counted(told)) == 1


async def test_an_approval_that_nobody_gives_expires_at_its_deadline(
    stack: Stack,
) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    checkpoint = await stack.checkpoint(run)
    await stack.waits(run)
    assert isinstance(await stack.decide(checkpoint, "defer", expires_in_s=1), Decided)
    told = await stack.ended(run)
    expired = of_type(told, "checkpoint.expired")[0]
    deadline = datetime.fromisoformat(of_type(told, "checkpoint.deferred")[0]["expires_at"])
    late = datetime.fromisoformat(expired["at"]) - deadline
    assert timedelta(0) <= late < timedelta(seconds=2)
    assert told[-1]["output_text"] == "I got: Nobody answered in time, so this call was not executed."
    assert stack.counted(told) == []


async def test_a_deferred_approval_stays_open_until_it_is_decided(stack: Stack) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    checkpoint = await stack.checkpoint(run)
    await stack.waits(run)
    await stack.decide(checkpoint, "defer", expires_in_s=3600)
    again = await stack.read(lambda connection: checkpoints.load(connection, checkpoint.id))
    assert again is not None
    assert again.status == "open"
    assert again.expires_at > datetime.now(UTC) + timedelta(minutes=50)
    await stack.decide(checkpoint, "approve")
    assert len(stack.counted(await stack.ended(run))) == 1


async def test_only_the_first_decision_counts(stack: Stack) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    checkpoint = await stack.checkpoint(run)
    outcomes = await asyncio.gather(
        stack.decide(checkpoint, "deny"), *(stack.decide(checkpoint, "approve") for _ in range(5))
    )
    told = await stack.ended(run)
    assert len(of_type(told, "checkpoint.decided")) == 1
    first_was_deny = of_type(told, "checkpoint.decided")[0]["decision"] == "deny"
    assert isinstance(outcomes[0], Decided if first_was_deny else Closed)
    assert len(stack.counted(told)) == (0 if first_was_deny else 1)


async def test_acts_side_by_side_wait_for_their_own_answers(stack: Stack) -> None:
    run = await stack.create("two acts", capabilities=[ONE_SHOT, WRITE, READ])
    first, second = await stack.checkpoint(run, 1), await stack.checkpoint(run, 2)
    await stack.waits(run)
    waiting = await stack.record(run)
    assert waiting.run.status == "waiting"
    assert waiting.run.waiting_for is not None
    assert set(waiting.run.waiting_for.checkpoint_ids) == {first.id, second.id}
    await stack.decide(second, "approve")
    await stack.waits(run, 2)
    assert (await stack.record(run)).run.waiting_for.checkpoint_ids == (first.id,)  # type: ignore[union-attr]
    await stack.decide(first, "deny")
    told = await stack.ended(run)
    assert len(stack.counted(told)) == 2


async def test_acts_one_after_the_other_ask_one_after_the_other(stack: Stack) -> None:
    limits = {"parallel_tools": False}
    run = await stack.create("two acts", capabilities=[ONE_SHOT, WRITE, READ], limits=limits)
    first = await stack.checkpoint(run)
    await stack.waits(run)
    assert len(of_type(await stack.events(run), "checkpoint.opened")) == 1
    assert (await stack.record(run)).run.status == "waiting"
    await stack.decide(first, "approve")
    await stack.waits(run, 2)
    await stack.decide(await stack.checkpoint(run, 2), "approve")
    told = await stack.ended(run)
    assert [one.effect for one in stack.counted(told)] == [
        "non_idempotent_write",
        "idempotent_write",
        "read_only",
    ]


async def test_a_question_is_answered_in_the_words_of_a_person(stack: Stack) -> None:
    run = await stack.create("a question", capabilities=[ASK])
    checkpoint = await stack.checkpoint(run)
    await stack.waits(run)
    assert checkpoint.kind == "question"
    assert checkpoint.rendered == "Which colour?\n- red\n- blue"
    await stack.decide(checkpoint, "answer", answer="blue")
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "So it is blue."


async def test_a_client_tool_gets_its_result_from_the_application(stack: Stack) -> None:
    run = await stack.create("a file", capabilities=[PICK])
    checkpoint = await stack.checkpoint(run)
    assert checkpoint.kind == "client_tool"
    assert checkpoint.tool_execution_id is not None
    given: dict[str, Any] = {"output": {"path": "a.txt"}}
    assert isinstance(await stack.submit(run, checkpoint.tool_execution_id, given), Decided)
    assert isinstance(await stack.submit(run, checkpoint.tool_execution_id, given), SameAgain)
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "I got: " + json.dumps({"path": "a.txt"})


async def test_a_client_tool_may_fail(stack: Stack) -> None:
    run = await stack.create("a file", capabilities=[PICK])
    checkpoint = await stack.checkpoint(run)
    assert checkpoint.tool_execution_id is not None
    await stack.submit(run, checkpoint.tool_execution_id, {"error": "the user closed the window"})
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "I got: the user closed the window"
    assert of_type(told, "tool_execution.completed")[0]["is_error"]


async def test_a_client_tool_that_nobody_runs_times_out_and_the_run_goes_on(stack: Stack) -> None:
    run = await stack.create("a file", capabilities=[PICK | {"timeout_ms": 300}])
    told = await stack.ended(run)
    assert told[-1]["type"] == "run.completed"
    assert told[-1]["output_text"] == "I got: The application did not submit a result in time."
    assert of_type(told, "tool_execution.completed")[0]["outcome"] == "expired"


async def test_the_clock_of_a_run_stands_still_while_it_waits(stack: Stack) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT], limits={"timeout_ms": 1_500})
    checkpoint = await stack.checkpoint(run)
    await stack.waits(run)
    await asyncio.sleep(2.0)  # the thing itself: longer than the run's own limit
    assert (await stack.record(run)).run.status == "waiting"
    await stack.decide(checkpoint, "approve")
    assert (await stack.ended(run))[-1]["type"] == "run.completed"


async def test_an_answer_whose_wake_up_is_lost_is_found_by_the_sweeper(stack: Stack) -> None:
    run = await stack.create("one act", capabilities=[ONE_SHOT])
    await stack.checkpoint(run)
    await stack.waits(run)
    await stack.say(run, Cancel(), wake=False)
    assert (await stack.ended(run))[-1]["type"] == "run.cancelled"
