"""What is said to a run while it works: interrupts, words that steer it, other limits, a cancel."""

import asyncio
from typing import Any

import pytest

from protocol.block import InputBlock, ResponseBlock, text_of
from protocol.ids import RunId
from protocol.inbox import Cancel
from records import blocks, calls, inbox, steps
from tests.stack import Event, Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

ONE_SHOT = {"kind": "tool", "name": "count_non_idempotent_write", "approval": "ask"}
WORDS = "one two three four five six seven eight nine ten "

SCRIPT = f"""
[[scenarios]]
when = "^talk"
delta_chars = 4
[[scenarios.turns]]
text = "{WORDS}"
delta_delay_ms = 60
[[scenarios.turns]]
text = "You said: {{input}}"
delta_delay_ms = 0

[[scenarios]]
when = "^act"
[[scenarios.turns]]
tool_calls = [{{ name = "count_non_idempotent_write" }}]
[[scenarios.turns]]
text = "I go on. {{last_result}}"

[[scenarios]]
when = "^wait"
[[scenarios.turns]]
text = "at last"
first_delay_ms = 3000
"""


async def head_of(stack: Stack, run: RunId) -> list[str]:
    """What stands in the head: inputs, and what the model said."""
    session = (await stack.record(run)).run.session_id
    _, head = await stack.read(lambda connection: blocks.head(connection, session))
    return [text_of(block.content) for block in head if isinstance(block, InputBlock | ResponseBlock)]


def streamed(told: list[Event]) -> str:
    return "".join(event["delta"] for event in of_type(told, "response.delta"))


async def test_a_discarding_interrupt_leaves_no_word_of_the_model_and_asks_it_anew(stack: Stack) -> None:
    run = await stack.create("talk")
    await stack.told(run, "response.delta")
    await stack.interrupt(run, "discard", "talk faster")
    told = await stack.ended(run)
    assert of_type(told, "run.interrupted")[0]["behavior"] == "discard"
    assert await head_of(stack, run) == ["talk", "talk faster", WORDS]
    assert [step.status for step in await stack.read(lambda c: steps.list_steps(c, run))] == [
        "interrupted",
        "completed",
    ]
    assert [call.status for call in await stack.read(lambda c: calls.list_calls(c, run))] == [
        "interrupted",
        "completed",
    ]


@pytest.mark.parametrize(("behavior", "mark"), [("save_partial", ""), ("save_marked", "\n[interrupted]")])
async def test_a_saving_interrupt_keeps_the_words_that_were_streamed(
    stack: Stack, behavior: Any, mark: str
) -> None:
    run = await stack.create("talk")
    await stack.told(run, "response.delta", 3)
    await stack.interrupt(run, behavior, "stop that")
    told = await stack.ended(run)
    interrupted = of_type(told, "run.interrupted")[0]
    before = streamed([event for event in told if event["seq"] < interrupted["seq"]])
    assert WORDS.startswith(before)
    assert before != WORDS
    assert await head_of(stack, run) == ["talk", before + mark, "stop that", "You said: stop that"]


async def test_an_interrupt_without_words_lets_the_run_go_on(stack: Stack) -> None:
    run = await stack.create("talk")
    await stack.told(run, "response.delta")
    await stack.interrupt(run, "save_partial")
    await stack.ended(run)
    assert (await head_of(stack, run))[-1] == "You said: talk"


async def test_an_interrupt_of_a_waiting_run_cancels_its_checkpoints_and_goes_on(stack: Stack) -> None:
    run = await stack.create("act", capabilities=[ONE_SHOT])
    checkpoint = await stack.checkpoint(run)
    await stack.waits(run)
    await stack.interrupt(run, "discard", "never mind")
    told = await stack.ended(run)
    assert of_type(told, "checkpoint.cancelled")[0]["checkpoint_id"] == checkpoint.id
    assert stack.counted(told) == []
    assert told[-1]["output_text"] == "I go on. The call was interrupted by the user."


async def test_two_interrupts_in_a_row_are_both_taken_up_or_the_last_with_the_words_of_both(
    stack: Stack,
) -> None:
    run = await stack.create("talk")
    await stack.told(run, "response.delta")
    await stack.interrupt(run, "save_partial", "first")
    await stack.interrupt(run, "save_partial", "second")
    await stack.ended(run)
    assert {"first", "second"} <= set(await head_of(stack, run))


async def test_words_that_are_sent_enter_with_the_next_turn(stack: Stack) -> None:
    run = await stack.create("act", capabilities=[ONE_SHOT])
    checkpoint = await stack.checkpoint(run)
    await stack.send(run, "and hurry")
    await stack.decide(checkpoint, "approve")
    told = await stack.ended(run)
    assert await head_of(stack, run) == ["act", "and hurry", "I go on. counted 1"]
    assert text_of_input(of_type(told, "input.received")[0]) == "and hurry"


async def test_words_that_are_sent_during_the_last_turn_get_a_turn_of_their_own(stack: Stack) -> None:
    run = await stack.create("talk")
    await stack.told(run, "response.delta")
    await stack.send(run, "one more thing")
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "You said: one more thing"


async def test_words_that_are_sent_before_an_interrupt_are_not_lost(stack: Stack) -> None:
    run = await stack.create("talk")
    await stack.told(run, "response.delta")
    await stack.send(run, "keep this")
    await stack.interrupt(run, "save_partial", "and this")
    await stack.ended(run)
    assert {"keep this", "and this"} <= set(await head_of(stack, run))


async def test_a_raised_limit_lets_a_waiting_run_go_on_under_it(stack: Stack) -> None:
    run = await stack.create("act", capabilities=[ONE_SHOT], limits={"max_turns": 1})
    checkpoint = await stack.checkpoint(run)
    await stack.raise_limits(run, max_turns=5)
    await stack.decide(checkpoint, "approve")
    assert (await stack.ended(run))[-1]["stop_reason"] == "end_turn"


async def test_a_run_that_works_longer_than_its_limit_is_timed_out(stack: Stack) -> None:
    run = await stack.create("wait", limits={"timeout_ms": 400})
    told = await stack.ended(run)
    assert (told[-1]["type"], told[-1]["stop_reason"]) == ("run.timed_out", "timeout")


async def test_a_time_limit_that_is_lifted_in_time_does_not_end_the_run(stack: Stack) -> None:
    run = await stack.create("wait", limits={"timeout_ms": 1500})
    await stack.told(run, "call.started")
    await stack.raise_limits(run, timeout_ms=0)
    told = await stack.ended(run)
    assert told[-1]["type"] == "run.completed"


async def test_a_cancel_during_the_models_answer_ends_the_run_at_once(stack: Stack) -> None:
    run = await stack.create("talk")
    await stack.told(run, "response.delta")
    await stack.cancel(run)
    told = await stack.ended(run)
    assert (told[-1]["type"], told[-1]["stop_reason"]) == ("run.cancelled", "cancelled")
    assert streamed(told) != WORDS


async def test_a_cancel_while_a_person_is_asked_withdraws_the_question(stack: Stack) -> None:
    run = await stack.create("act", capabilities=[ONE_SHOT])
    checkpoint = await stack.checkpoint(run)
    await stack.cancel(run)
    told = await stack.ended(run)
    assert of_type(told, "checkpoint.cancelled")[0]["checkpoint_id"] == checkpoint.id
    assert of_type(told, "tool_execution.completed")[0]["outcome"] == "not_executed"
    assert stack.counted(told) == []


async def test_an_approval_that_is_cancelled_before_it_is_spent_does_nothing(stack: Stack) -> None:
    """The approval and the cancel are heard together, so nothing of it may happen or it happened first."""
    runs = [await stack.create("act", capabilities=[ONE_SHOT]) for _ in range(8)]
    for run in runs:
        checkpoint = await stack.checkpoint(run)
        await asyncio.gather(stack.decide(checkpoint, "approve"), stack.cancel(run))
    for run in runs:
        told = await stack.ended(run)
        redeemed = of_type(told, "checkpoint.redeemed")
        assert len(stack.counted(told)) == len(redeemed)


async def test_a_cancel_before_the_run_has_begun_ends_it_before_it_does_anything(stack: Stack) -> None:
    run = await stack.intend("talk")
    await stack.say(run, Cancel(), wake=False)
    await stack.begin(run)
    told = await stack.ended(run)
    assert told[-1]["type"] == "run.cancelled"
    assert of_type(told, "response.delta") == []


async def test_nobody_can_say_anything_to_a_run_that_has_ended(stack: Stack) -> None:
    run = await stack.create("talk")
    await stack.told(run, "response.delta")
    await stack.cancel(run)
    before = await stack.ended(run)
    assert await stack.commit(run, lambda tx: inbox.say(tx, run, Cancel())) == inbox.RunEnded()
    assert await stack.events(run) == before


async def test_a_stop_whose_wake_up_is_late_is_one_stop(stack: Stack) -> None:
    """The body that works sees the inbox before the workflow does: it must not be asked again and again."""
    run = await stack.create("talk")
    await stack.told(run, "response.delta")
    await stack.say(run, Cancel(), wake=False)
    told = await stack.ended(run)
    assert len(of_type(told, "call.started")) == 1


def text_of_input(event: Event) -> str:
    return event["blocks"][0]["content"][0]["text"]
