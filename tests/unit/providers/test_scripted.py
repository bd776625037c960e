"""The scripted provider: which turn plays, how it is cut up, and how it fails."""

import asyncio
import time

import pytest

from protocol.block import Block, TextPart, ThinkingBlock
from protocol.config import Price
from protocol.model import Finish, MessageStart, ModelEvent, TextDelta, TextEnd, TextStart, UsageSnapshot
from protocol.usage import Usage
from providers.prices import Prices
from providers.script import parse_script
from providers.scripted import ScriptedProvider
from tests.conformance.provider_suite import StreamChecker, request, said
from tests.conformance.provider_suite import heard as events_of
from tests.unit.providers.chat import Heard
from tests.unit.providers.test_chat_requests import answered, called, common, result


def scripted(text: str, **prices: Price) -> ScriptedProvider:
    return ScriptedProvider(parse_script(text), prices=Prices(prices))


def one_turn(turn: str) -> ScriptedProvider:
    return scripted(f"[[scenarios]]\nturns = [{{ {turn} }}]")


async def answer(provider: ScriptedProvider, *blocks: Block, attempt: int = 1) -> Heard:
    return Heard(await events_of(provider, request(*(blocks or [said("go")])), attempt=attempt))


async def test_a_turn_is_told_in_full() -> None:
    usage = Usage(input_uncached=5, output_total=2, total=7)
    provider = scripted(
        '[[scenarios]]\nturns = [{ text = "abc", delta_chars = 2, usage = { input = 5, output = 2 } }]',
        m1=Price(input=1_000_000, output=2_000_000),
    )
    assert await events_of(provider, request(said("go"))) == [
        MessageStart(provider_message_id="scripted_0"),
        TextStart(block=0),
        TextDelta(block=0, text="ab"),
        TextDelta(block=0, text="c"),
        TextEnd(block=0, text="abc"),
        UsageSnapshot(usage=usage, final=True),
        Finish(reason="stop", native_reason="stop", usage=usage, cost_usd=9.0),
    ]


async def test_the_turn_is_the_number_of_assistant_turns_so_far() -> None:
    provider = scripted('[[scenarios]]\nturns = [{ text = "0" }, { text = "1" }, { text = "2" }]')
    thought = ThinkingBlock(content=(TextPart(text="hm"),), **common())
    first = [thought, answered("look"), called("a"), called("b"), result("a", "x"), result("b", "y")]
    assert (await answer(provider, said("go"))).text == "0"
    assert (await answer(provider, said("go"), said("more"))).text == "0"
    assert (await answer(provider, said("go"), *first)).text == "1"
    assert (await answer(provider, said("go"), *first, said("steer"))).text == "1"
    assert (await answer(provider, said("go"), *first, answered("done"), said("next"))).text == "2"


async def test_past_the_last_turn_the_script_is_exhausted() -> None:
    provider = one_turn('text = "only"')
    heard = await answer(provider, said("go"), answered("only"), said("again"))
    assert (heard.error.error_class, heard.error.code) == ("validation", "provider.script_exhausted")
    assert not heard.error.retryable
    other = await events_of(
        scripted('[[scenarios]]\nwhen = "x"\nturns = [{ text = "a" }]'), request(said("y"))
    )
    assert [event.type for event in other] == ["error"]


async def test_templates_carry_the_input_and_the_last_result() -> None:
    provider = scripted("""
        [[scenarios]]
        [[scenarios.turns]]
        text = "You said {input}, {other} {last_result}."
        tool_calls = [
          { name = "bash", arguments = { command = "echo {last_result}", list = ["{input}", 1] } },
          { name = "bash", arguments = '{"raw": "{input}"}' },
        ]
    """)
    heard = await answer(provider, said("first"), result("a", "{input}"), said("second"))
    assert heard.text == "You said second, {other} {input}."
    assert heard.calls[0].arguments == {"command": "echo {input}", "list": ["second", 1]}
    assert heard.calls[1].arguments == {"raw": "{input}"}


@pytest.mark.parametrize(
    ("arguments", "state"), [("{}", "ok"), ('""', "empty"), ("'{\"a\": 1}'", "ok"), ("'{\"a\": '", "invalid")]
)
async def test_raw_arguments_are_sent_as_they_stand(arguments: str, state: str) -> None:
    heard = await answer(one_turn(f'tool_calls = [{{ name = "bash", arguments = {arguments} }}]'))
    assert heard.first_call.arguments_state == state


async def test_synthetic_ids_differ_between_calls_and_turns() -> None:
    provider = scripted(
        '[[scenarios]]\nloop = true\nturns = [{ tool_calls = [{ name = "bash" }, { name = "x" }] }]'
    )
    first = await answer(provider)
    second = await answer(provider, said("go"), answered("x"), said("y"))
    assert len({end.call_id for end in [*first.calls, *second.calls]}) == 4


async def test_every_cut_leaves_a_prefix_and_the_next_attempt_is_whole() -> None:
    """EVT-04: dropped at token k for every k, then retried."""
    for k in range(14):
        provider = one_turn(
            'thinking = "ab", text = "hello!", delta_chars = 1, tool_calls = [{ name = "bash" }], '
            f'faults = [{{ fault = "cut", attempt = 1, after_deltas = {k} }}]'
        )
        broken, whole = await answer(provider), await answer(provider, attempt=2)
        assert "hello!".startswith(broken.text)
        assert (broken.error.code, broken.error.partial) == ("provider.stream_truncated", k > 0)
        assert (whole.text, whole.finish.reason) == ("hello!", "tool_calls")
        deltas = [event for event in broken.events if event.type.endswith("_delta")]
        assert len(deltas) == min(k, 10)


@pytest.mark.parametrize(
    ("fault", "code", "retryable", "status"),
    [
        ("cut", "provider.stream_truncated", True, None),
        ("garbage", "provider.protocol_violation", True, None),
        ("error:429", "provider.rate_limited", True, 429),
        ("error:503", "provider.overloaded", True, 503),
        ("error:400", "provider.request_rejected", False, 400),
        ("error:401", "provider.unauthorized", False, 401),
    ],
)
async def test_each_fault_has_its_class(fault: str, code: str, retryable: bool, status: int | None) -> None:
    provider = one_turn(f'text = "a", faults = [{{ fault = "{fault}", retry_after_ms = 7 }}]')
    for attempt in (1, 5):
        error = (await answer(provider, attempt=attempt)).error
        assert (error.code, error.retryable, error.http_status) == (code, retryable, status)
        assert (error.retry_after_ms, error.partial) == (7, False)


async def test_a_hang_ends_by_the_time_limit() -> None:
    script = parse_script('[[scenarios]]\nturns = [{ text = "a", faults = [{ fault = "hang" }] }]')
    heard = Heard(await events_of(ScriptedProvider(script, timeout_s=0.05), request(said("go"))))
    assert heard.error.code == "provider.timeout"


async def test_delays_are_kept() -> None:
    provider = one_turn('text = "abcd", delta_chars = 1, first_delay_ms = 60, delta_delay_ms = 20')
    began = time.monotonic()
    times = [time.monotonic() - began async for _ in provider.stream(request(said("go")), attempt=1)]
    assert times[0] >= 0.06
    assert times[-1] >= 0.12


async def test_without_delay_a_turn_is_fast_and_still_lets_others_run() -> None:
    provider = one_turn(f'text = "{"x" * 20_000}", delta_chars = 1')
    turns = 0

    async def neighbour() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    beside = asyncio.create_task(neighbour())
    heard = await answer(provider)
    beside.cancel()
    assert len(heard.deltas) == 20_000
    assert turns >= 300


async def test_usage_that_nobody_scripted_is_estimated() -> None:
    usage = (await answer(one_turn('text = "abcdefgh"'))).finish.usage
    assert usage == Usage(
        input_uncached=usage.input_uncached,
        output_total=2,
        total=usage.input_uncached + 2,
        estimated=True,
    )
    assert usage.input_uncached > 0


async def test_the_same_request_is_answered_with_the_same_events() -> None:
    provider = one_turn('thinking = "hm", text = "a", tool_calls = [{ name = "bash" }]')
    asked = request(said("go"))

    async def once() -> list[ModelEvent]:
        return await events_of(provider, asked)

    assert await once() == await once()
    StreamChecker().follow(await once())
