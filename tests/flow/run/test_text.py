"""A run that only talks: what the stream tells, and what becomes of a model that breaks."""

import asyncio

import pytest

from tests.stack import Stack, of_type
from workflows.options import MODEL_ATTEMPTS

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

TOKENS = 8

SCRIPT = """
[[scenarios]]
when = "^plain"
turns = [
  { thinking = "Let me see.", text = "Hello there, this is text." },
  { text = "And again: {input}" },
]

[[scenarios]]
when = "^refused for good"
turns = [{ text = "never seen", faults = [{ fault = "error:400" }] }]

[[scenarios]]
when = "^busy twice"
turns = [{ text = "at last", faults = [
  { fault = "error:429", attempt = 1, retry_after_ms = 50 },
  { fault = "error:503", attempt = 2, retry_after_ms = 50, after_deltas = 1 },
] }]

[[scenarios]]
when = "^never up"
turns = [{ text = "never seen", faults = [{ fault = "error:500", retry_after_ms = 20 }] }]

[[scenarios]]
when = "^filtered"
turns = [{ text = "I cannot help with that.", finish = "refusal" }]
""" + "".join(
    f"""
[[scenarios]]
when = "^cut at {token}$"
delta_chars = 3
turns = [{{ text = "one two three four five", faults = [
  {{ fault = "cut", attempt = 1, after_deltas = {token}, retry_after_ms = 20 }},
] }}]
"""
    for token in range(TOKENS + 1)
)


async def test_a_text_run_tells_its_life_from_creation_to_completion(stack: Stack) -> None:
    run = await stack.create("plain")
    told = await stack.ended(run)
    assert [event["type"] for event in told if not event["type"].endswith(".delta")] == [
        "run.created",
        "run.started",
        "capability.resolved",
        "step.started",
        "call.started",
        "call.completed",
        "step.completed",
        "run.completed",
    ]
    assert told[-1]["stop_reason"] == "end_turn"
    assert told[-1]["output_text"] == "Hello there, this is text."
    assert "".join(event["delta"] for event in of_type(told, "response.delta")) == told[-1]["output_text"]
    assert "".join(event["delta"] for event in of_type(told, "thinking.delta")) == "Let me see."


async def test_a_second_run_of_a_session_goes_on_where_the_first_one_stopped(stack: Stack) -> None:
    first = await stack.create("plain")
    await stack.ended(first)
    session = (await stack.record(first)).run.session_id
    second = await stack.create("so what", session=session)
    told = await stack.ended(second)
    assert told[-1]["output_text"] == "And again: so what"


@pytest.mark.parametrize("token", range(TOKENS + 1))
async def test_a_stream_that_breaks_at_any_token_is_retried_and_shows_each_token_once(
    stack: Stack, token: int
) -> None:
    run = await stack.create(f"cut at {token}")
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "one two three four five"
    voided = of_type(told, "call.attempt_voided")
    assert [event["attempt"] for event in voided] == [1]
    first = [event["delta"] for event in of_type(told, "response.delta") if event["attempt"] == 1]
    assert "".join(first) == "one two three four five"[: 3 * token]
    assert all(event["seq"] <= voided[0]["seq"] for event in told if event.get("attempt") == 1)


async def test_a_busy_model_is_asked_again_after_its_hint(stack: Stack) -> None:
    told = await stack.ended(await stack.create("busy twice"))
    assert told[-1]["output_text"] == "at last"
    assert [event["attempt"] for event in of_type(told, "call.started")] == [1, 2, 3]
    assert [event["attempt"] for event in of_type(told, "call.attempt_voided")] == [1, 2]


async def test_an_error_that_no_retry_mends_fails_the_run_at_once_with_its_code(stack: Stack) -> None:
    told = await stack.ended(await stack.create("refused for good"))
    assert len(of_type(told, "call.started")) == 1
    assert told[-1]["type"] == "run.failed"
    assert told[-1]["stop_reason"] == "error"
    assert told[-1]["error"]["type"] == "provider_error"
    assert told[-1]["error"]["code"] == of_type(told, "call.failed")[0]["error"]["code"]


async def test_a_model_that_never_answers_fails_the_run_after_its_attempts(stack: Stack) -> None:
    told = await stack.ended(await stack.create("never up"))
    assert len(of_type(told, "call.started")) == MODEL_ATTEMPTS
    assert len(of_type(told, "call.attempt_voided")) == MODEL_ATTEMPTS - 1
    assert told[-1]["type"] == "run.failed"
    assert told[-1]["error"]["code"].startswith("provider.")


async def test_a_refusal_of_the_model_is_told_as_blocked(stack: Stack) -> None:
    told = await stack.ended(await stack.create("filtered"))
    assert told[-1]["type"] == "run.completed"
    assert told[-1]["stop_reason"] == "safety_blocked"


async def test_many_runs_at_once_each_tell_their_own_story(stack: Stack) -> None:
    made = await asyncio.gather(*(stack.create("plain") for _ in range(30)))
    for run in made:
        told = await stack.ended(run)
        assert told[-1]["output_text"] == "Hello there, this is text."
