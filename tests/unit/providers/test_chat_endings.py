"""How answers end, and what they are said to have consumed."""

import pytest

from protocol.model import Finish, FinishReason, UsageSnapshot
from protocol.usage import Usage
from tests.conformance.provider_suite import request, said
from tests.unit.providers.chat import (
    DONE,
    USAGE,
    Heard,
    ask,
    call,
    chunk,
    counted,
    entry_of,
    frame,
    hear,
    provider_of,
    read_bytewise,
)
from tests.unit.providers.loopback import Backend, End

USED = Usage(input_uncached=7, output_total=3, total=10)


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("end_turn", "stop"),
        ("eos", "stop"),
        ("end", "stop"),
        ("length", "length"),
        ("MAX_TOKENS", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("whatever", "other"),
    ],
)
async def test_native_reasons_are_kept_beside_ours(
    backend: Backend, native: str, reason: FinishReason
) -> None:
    heard = await hear(backend, chunk(content="a"), chunk(native), counted(), DONE)
    assert heard.finish == Finish(reason=reason, native_reason=native, usage=USED)


@pytest.mark.parametrize("native", ["tool_calls", "tool-calls", "tool_use", "function_call"])
async def test_every_spelling_of_tool_calls_is_understood(backend: Backend, native: str) -> None:
    heard = await hear(backend, call(0, id="a", name="bash", arguments="{}"), chunk(native), DONE)
    assert heard.finish.reason == "tool_calls"


async def test_e63_a_finish_reason_without_done_is_an_end(backend: Backend) -> None:
    heard = await hear(backend, chunk(content="a"), chunk("stop"))
    assert heard.finish.reason == "stop"


@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_e63_a_connection_that_breaks_after_the_finish_reason_breaks_nothing(
    backend: Backend, end: End
) -> None:
    backend.answer(chunk(content="a") + chunk("stop") + counted(), end=end)
    heard = await ask(backend)
    assert (heard.finish.reason, heard.finish.usage) == ("stop", USED)


async def test_e64_done_without_a_reason_is_inferred_from_text(backend: Backend) -> None:
    heard = await hear(backend, chunk(content="a"), DONE)
    assert (heard.finish.reason, heard.finish.native_reason) == ("stop", None)
    assert heard.notices == ["missing_finish_reason"]


async def test_e64_done_without_a_reason_is_inferred_from_calls_that_parse(backend: Backend) -> None:
    heard = await hear(backend, call(0, id="a", name="bash", arguments='{"a":1}'), chunk(""), DONE)
    assert heard.finish.reason == "tool_calls"


@pytest.mark.parametrize(
    "frames",
    [
        [DONE],
        [],
        [chunk(role="assistant"), DONE],
        [chunk(content="a")],
        [call(0, id="a", name="bash", arguments='{"a"'), DONE],
        [call(0, id="a", name="bash", arguments='{"a":1}')],
        [chunk(reasoning_content="hm"), DONE],
    ],
)
async def test_e64_anything_less_is_truncated(backend: Backend, frames: list[bytes]) -> None:
    heard = await hear(backend, *frames)
    assert (heard.error.code, heard.error.retryable) == ("provider.stream_truncated", True)
    assert heard.error.partial == any(b"content" in one or b"bash" in one for one in frames)
    assert all(one.arguments_state == "truncated" for one in heard.calls)


async def test_e65_the_first_of_two_reasons_wins_unless_the_second_says_more(backend: Backend) -> None:
    twice = await hear(backend, chunk(content="a"), chunk("length"), chunk("stop"), DONE)
    assert twice.finish.native_reason == "length"
    more = await hear(
        backend, call(0, id="a", name="bash", arguments="{}"), chunk("stop"), chunk("tool_calls"), DONE
    )
    assert more.finish.native_reason == "tool_calls"


async def test_e65_late_content_is_kept(backend: Backend) -> None:
    heard = await hear(backend, chunk(content="a"), chunk("stop"), chunk(content="b"), DONE)
    assert (heard.text, heard.notices) == ("ab", ["late_content"])


@pytest.mark.parametrize(
    "frames",
    [
        [chunk(content="a"), chunk("stop"), counted()],
        [chunk("stop", usage=USAGE, content="a")],
        [
            chunk(usage={**USAGE, "prompt_tokens": 1}, content="a"),
            chunk("stop", usage=USAGE),
            counted(None),
            counted({}),
            chunk(usage={}),
        ],
    ],
)
async def test_e66_the_last_complete_usage_counts(backend: Backend, frames: list[bytes]) -> None:
    heard = await hear(backend, *frames, DONE)
    assert heard.finish.usage == USED
    assert heard.snapshots == [UsageSnapshot(usage=USED, final=True)]


async def test_usage_that_never_comes_is_estimated_and_says_so(backend: Backend) -> None:
    heard = await hear(backend, chunk(content="abcdefgh"), chunk("stop"), DONE)
    assert heard.finish.usage.estimated
    assert heard.finish.usage.output_total == 2
    assert heard.finish.usage.input_uncached > 0


async def test_a_count_that_is_none_counts_nothing(backend: Backend) -> None:
    absurd = frame({"id": "c1", "choices": [], "usage": USAGE}).replace(
        b'"prompt_tokens": 7', b'"prompt_tokens": 1e999'
    )
    heard = await hear(backend, chunk(content="12345678"), chunk("stop"), absurd, DONE)
    assert (heard.finish.reason, heard.finish.usage.estimated) == ("stop", True)


async def test_usage_so_far_is_told_before_a_failure(backend: Backend) -> None:
    heard = await hear(backend, frame({"choices": [{"index": 0, "delta": {"content": "a"}}], "usage": USAGE}))
    assert heard.error.code == "provider.stream_truncated"
    assert heard.snapshots == [UsageSnapshot(usage=USED)]


async def test_e67_only_the_first_choice_is_used(backend: Backend) -> None:
    heard = await hear(backend, chunk(content="a"), chunk(index=1, content="X"), chunk("stop"), DONE)
    assert (heard.text, heard.notices) == ("a", ["extra_choice"])


async def test_the_input_buckets_are_disjoint(backend: Backend) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 15},
    }
    heard = await hear(backend, chunk(content="a"), chunk("stop"), counted(usage), DONE)
    assert heard.finish.usage == Usage(
        input_uncached=30, cache_read=60, cache_write=10, output_total=20, output_reasoning=15, total=120
    )


async def test_e78_more_cached_than_given_is_clamped(backend: Backend) -> None:
    usage = {**USAGE, "prompt_tokens_details": {"cached_tokens": 50}}
    heard = await hear(backend, chunk(content="a"), chunk("stop"), counted(usage), DONE)
    assert (heard.finish.usage.input_uncached, heard.finish.usage.cache_read) == (0, 50)
    assert heard.notices == ["usage_clamped"]


@pytest.mark.parametrize("choices", [None, "x", [None], [[]], [{"index": 0, "delta": None}], [{"delta": []}]])
async def test_odd_chunks_do_no_harm(backend: Backend, choices: object) -> None:
    heard = await hear(backend, frame({"choices": choices}), chunk(content="a"), chunk("stop"), DONE)
    assert heard.text == "a"


async def test_frames_after_done_are_ignored(backend: Backend) -> None:
    heard = await hear(backend, chunk(content="a"), chunk("stop"), DONE, chunk(content="b"), b"data: x\n\n")
    assert heard.text == "a"


async def test_a_connection_serves_again_after_a_whole_answer(backend: Backend) -> None:
    backend.answer(chunk(content="a") + chunk("stop") + DONE, end="whole")
    provider = provider_of(backend)
    for _ in range(3):
        events = [event async for event in provider.stream(request(said("go")), attempt=1)]
        assert isinstance(events[-1], Finish)
    await provider.close()
    assert backend.connections == 1


async def test_a_stream_cut_at_every_byte_is_an_error_or_whole(backend: Backend) -> None:
    """Whatever byte the connection dies at, what was told is a prefix of the whole answer."""
    wire = b"".join(
        [
            chunk(content="Hé"),
            chunk(content="llo 👋"),
            call(0, id="a", name="bash", arguments='{"x":'),
            call(0, arguments="1}"),
            chunk("tool_calls"),
            counted(),
            DONE,
        ]
    )
    entry = entry_of(backend)
    whole = Heard(read_bytewise(wire, entry))
    ends: list[str] = []
    for cut in range(len(wire) + 1):
        heard = Heard(read_bytewise(wire[:cut], entry))
        assert whole.text.startswith(heard.text)
        if isinstance(heard.terminal, Finish):
            assert heard.made == whole.made
        else:
            assert all(made[3] == "truncated" for made in heard.made)
        ends.append(type(heard.terminal).__name__)
    first_finish = ends.index("Finish")
    assert set(ends[first_finish:]) == {"Finish"}
    assert first_finish < wire.index(counted())
