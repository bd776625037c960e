"""How a model is asked to think, and what of its thinking goes back to it."""

import json
from typing import Any

import pytest

from protocol.block import Provenance
from protocol.model import CallParams, ToolChoice
from tests.conformance.provider_suite import said
from tests.unit.providers.anthropic.history import (
    ALWAYS,
    NEW,
    OLD,
    SIGNED,
    asked,
    body,
    messages,
    thought,
    written,
)
from tests.unit.providers.anthropic.wire import MODEL, WHERE, ask, begin, ended, hear, opened, sent, thinking
from tests.unit.providers.chat import turn_of
from tests.unit.providers.loopback import Backend
from tests.unit.providers.test_chat_requests import answered, called, result


def test_e43_reasoning_goes_back_as_it_came_inside_its_tool_loop() -> None:
    redacted = {"type": "redacted_thinking", "data": "E"}
    step = [
        thought(SIGNED),
        thought(redacted),
        thought(SIGNED),
        answered("so"),
        called("a"),
        result("a", "x"),
    ]
    wire = messages(said("go"), *step)
    assert wire[1]["content"][:4] == [SIGNED, redacted, SIGNED, {"type": "text", "text": "so"}]
    over = messages(said("go"), *step, answered("done"), said("more"))
    assert [block["type"] for block in over[1]["content"]] == ["text", "tool_use"]
    again = messages(said("go"), *step, said("hurry"), thought(SIGNED), called("b"), result("b", "y"))
    assert [one["content"][0]["type"] for one in again if one["role"] == "assistant"] == ["thinking"] * 2


async def test_what_was_heard_is_replayed_byte_for_byte(backend: Backend) -> None:
    first = said("go")
    wire = thinking("h\u00e4", "m") + opened(1, type="tool_use", id="a", name="bash", input={})
    heard = await hear(backend, begin(), wire, ended("tool_use"))
    again = await sent(backend, asked(first, *turn_of(heard)))
    assert again.body["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "häm",
        "signature": "sig==",
    }


@pytest.mark.parametrize(
    "where",
    [
        WHERE.model_copy(update={"dialect": "chat"}),
        WHERE.model_copy(update={"vendor": "elsewhere"}),
        WHERE.model_copy(update={"account_scope": "another"}),
        WHERE.model_copy(update={"model_family": OLD}),
    ],
)
def test_e44_reasoning_of_another_maker_is_left_out(where: Provenance) -> None:
    made = written(asked(said("go"), thought(SIGNED, where=where), called("a"), result("a", "x")))
    assert [block["type"] for block in json.loads(made.content)["messages"][1]["content"]] == ["tool_use"]
    assert list(made.notices) == ["opaque_dropped"]


def test_e44_a_loop_that_began_without_reasoning_goes_on_without() -> None:
    loop = [said("go"), called("a"), result("a", "x")]
    high = CallParams(reasoning_effort="high")
    made = written(asked(*loop, model=OLD, params=high))
    assert json.loads(made.content)["thinking"] == {"type": "disabled"}
    assert list(made.notices) == ["thinking_disabled"]
    begun = body(asked(*loop, answered("so"), said("x"), model=OLD, params=high))
    assert begun["thinking"]["type"] == "enabled"
    assert body(asked(*loop, params=high))["thinking"] == {"type": "adaptive"}
    kept = thought(SIGNED, where=WHERE.model_copy(update={"model_family": OLD}))
    replayed = asked(said("go"), kept, called("a"), result("a", "x"), model=OLD, params=high)
    assert body(replayed)["thinking"]["type"] == "enabled"
    assert body(replayed, {"sendReasoning": False})["thinking"] == {"type": "disabled"}


def test_e73_a_pause_is_sent_back_unchanged() -> None:
    used = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    wire = messages(said("go"), thought(SIGNED), answered("looking"), thought(used))
    assert wire[-1]["content"] == [SIGNED, {"type": "text", "text": "looking"}, used]


@pytest.mark.parametrize(
    ("model", "params", "thinking_", "effort"),
    [
        (MODEL, {}, None, None),
        (MODEL, {"reasoning_effort": "none"}, {"type": "disabled"}, None),
        (MODEL, {"reasoning_effort": "minimal"}, {"type": "adaptive"}, "low"),
        (MODEL, {"reasoning_effort": "xhigh"}, {"type": "adaptive"}, "high"),
        (NEW, {"reasoning_effort": "xhigh"}, {"type": "adaptive"}, "xhigh"),
        (NEW, {"reasoning_tokens": 5000}, {"type": "adaptive"}, None),
        (NEW, {"reasoning_tokens": 0}, {"type": "disabled"}, None),
        (ALWAYS, {"reasoning_effort": "none"}, None, "low"),
        (OLD, {"reasoning_effort": "medium"}, {"type": "enabled", "budget_tokens": 8192}, None),
        (OLD, {"reasoning_tokens": 5000}, {"type": "enabled", "budget_tokens": 5000}, None),
        (OLD, {"reasoning_tokens": 5}, {"type": "enabled", "budget_tokens": 1024}, None),
        (OLD, {"reasoning_tokens": 900_000}, {"type": "enabled", "budget_tokens": 63_999}, None),
        ("claude-3-5-haiku-20241022", {"reasoning_effort": "high"}, None, None),
        ("kimi-k2", {"reasoning_effort": "high"}, {"type": "enabled", "budget_tokens": 4096}, None),
    ],
)
def test_reasoning_is_asked_for_in_the_words_of_the_model(
    model: str, params: dict[str, Any], thinking_: Any, effort: str | None
) -> None:
    wire = body(asked(model=model, params=CallParams(**params)))
    assert (wire.get("thinking"), wire.get("output_config", {}).get("effort")) == (thinking_, effort)


def test_a_limit_without_room_to_think_switches_thinking_off() -> None:
    made = written(asked(model=OLD, max_output_tokens=2000, params=CallParams(reasoning_effort="low")))
    assert json.loads(made.content)["thinking"] == {"type": "disabled"}
    assert list(made.notices) == ["param_dropped"]


def test_reasoning_that_is_shown_is_asked_for_as_a_summary() -> None:
    high = CallParams(reasoning_effort="high")
    assert body(asked(params=high), shown=True)["thinking"] == {"type": "adaptive", "display": "summarized"}


def test_what_the_entry_says_of_thinking_stands_until_the_call_says_more() -> None:
    params = {"effort": "max", "thinking": {"type": "enabled", "budgetTokens": 2000, "display": "omitted"}}
    wire = body(asked(model=OLD), params)
    assert wire["thinking"] == {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}
    assert wire["output_config"] == {"effort": "max"}
    call = asked(model=OLD, params=CallParams(reasoning_effort="none"))
    assert body(call, params)["thinking"] == {"type": "disabled"}


def test_e130_a_model_that_thinks_is_not_made_to_call() -> None:
    must = ToolChoice(mode="required")
    made = written(asked(tool_choice=must, params=CallParams(reasoning_effort="low")))
    assert "tool_choice" not in json.loads(made.content)
    assert list(made.notices) == ["tool_choice_relaxed"]
    assert "tool_choice" not in body(asked(tool_choice=must, model=ALWAYS))


async def test_reasoning_that_is_not_taken_back_is_left_out_once(backend: Backend) -> None:
    message = "messages.1.content.0: Invalid `signature` in `thinking` block"
    refusal = {"type": "error", "error": {"type": "invalid_request_error", "message": message}}
    backend.answer(
        json.dumps(refusal).encode(), status="400 no", headers=[("content-type", "application/json")]
    )
    heard = await ask(backend, asked(said("go"), thought(SIGNED), called("a"), result("a", "x")))
    assert heard.error.code == "provider.replay_state_rejected"
    kinds = [[block["type"] for block in one.body["messages"][1]["content"]] for one in backend.asked]
    assert kinds == [["thinking", "tool_use"], ["tool_use"]]
