"""Whatever a Messages backend sends, the stream keeps its invariants and nothing is raised."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.model import Finish
from protocol.strict import MAX_SAFE
from tests.unit.providers.anthropic.wire import (
    answer_of,
    begin,
    call,
    closed,
    delta,
    ended,
    frame,
    opened,
    read,
    text,
    thinking,
)
from tests.unit.providers.chat import Heard, told

words = st.sampled_from(["", "a", "é😀", "\ud83d", "\ude00", None, 5])
pieces = st.sampled_from(
    ["", "{", "}", '{"a":1}', "{}", "null", '"', "\\", "[", {"a": 1}, {"a": 1e400}, None]
)
kinds = st.sampled_from(
    [
        *("text", "thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use"),
        *("web_search_tool_result", "mcp_tool_result", "compaction", "hologram", None),
    ]
)
ids = st.sampled_from(["a", "b", "", None, 3])
index = st.sampled_from([0, 1, 2, -7, None, "x", True])
block = st.fixed_dictionaries(
    {"type": kinds},
    optional={
        "text": words,
        "thinking": words,
        "signature": words,
        "data": words,
        "id": ids,
        "name": words,
        "tool_use_id": ids,
        "input": pieces,
        "content": st.one_of(words, st.just({"type": "x_error"})),
        "citations": st.lists(st.one_of(words, st.fixed_dictionaries({"type": words, "url": words}))),
    },
)
fragment = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                *("text_delta", "thinking_delta", "signature_delta", "input_json_delta"),
                *("citations_delta", "compaction_delta", "smell_delta", None),
            ]
        )
    },
    optional={
        "text": words,
        "thinking": words,
        "signature": words,
        "partial_json": pieces,
        "content": words,
        "citation": st.one_of(words, st.fixed_dictionaries({"type": words, "title": words})),
    },
)
reason = st.sampled_from(["end_turn", "tool_use", "max_tokens", "pause_turn", "refusal", "?", "", None, 7])
counts = st.sampled_from([None, {}, {"input_tokens": 1}, {"output_tokens": -1}, {"output_tokens": 2}, "x"])
junk = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists)


def said_at(at: int, pieces: list[str]) -> bytes:
    return text(*pieces, index=at)


def thought_at(at: int) -> bytes:
    return thinking("hm", index=at)


def called_at(at: int) -> bytes:
    return call('{"a":', "1}", index=at, id=f"t{at}")


def start_of(at: object, fields: object) -> bytes:
    return frame("content_block_start", index=at, content_block=fields)


def delta_of(at: object, fields: object) -> bytes:
    return frame("content_block_delta", index=at, delta=fields)


def stop_of(at: object) -> bytes:
    return frame("content_block_stop", index=at)


def end_of(why: Any, used: object) -> bytes:
    return ended(why, usage=used)


def odd(kind: str, value: object) -> bytes:
    return frame(kind, message=value, content_block=value, delta=value, usage=value)


legal = st.one_of(
    st.builds(said_at, st.integers(0, 3), st.lists(st.just("a"))),
    st.builds(thought_at, st.integers(0, 3)),
    st.builds(called_at, st.integers(0, 3)),
)
illegal = st.one_of(
    st.builds(start_of, index, block),
    st.builds(delta_of, index, fragment),
    st.builds(stop_of, index),
    st.builds(end_of, reason, counts),
    st.builds(begin, counts),
    st.sampled_from(
        [b": ping\n\n", b"\n", b"data: x\n\n", b"data: [1]\n\n", b"data: [DONE]\n\n", frame("ping")]
    ),
    st.sampled_from([frame("error", error={"type": "api_error"}), frame("error", error=None)]),
    st.builds(
        odd,
        st.sampled_from(
            ["message_start", "content_block_start", "content_block_delta", "message_delta", "x"]
        ),
        junk,
    ),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(legal | illegal, max_size=10), st.integers(1, 7), st.booleans())
def test_any_frames_make_a_stream_that_keeps_its_invariants(
    wire: list[bytes], size: int, shown: bool
) -> None:
    raw = b"".join(wire)
    heard = Heard(read(raw, [size], shown=shown))
    whole = read(raw, [len(raw) + 1], shown=shown)
    assert told(heard.events) == told(whole)
    for event in heard.events:
        json.loads(event.model_dump_json())
    if not isinstance(heard.terminal, Finish):
        assert all(end.arguments_state in ("ok", "truncated") for end in heard.calls)


@given(st.lists(legal, max_size=6))
def test_a_legal_stream_ends_well_and_one_that_stops_before_its_end_does_not(wire: list[bytes]) -> None:
    raw = begin() + b"".join(wire)
    whole = Heard(read(raw + ended(), [11]))
    assert whole.finish.reason == ("tool_calls" if whole.calls else "stop")
    assert Heard(read(raw, [11])).error.code == "provider.stream_truncated"


@given(
    st.one_of(
        junk, st.fixed_dictionaries({"content": st.lists(block), "stop_reason": reason, "usage": counts})
    )
)
def test_any_whole_body_is_an_answer_or_is_not(body: Any) -> None:
    events = answer_of().whole(json.loads(json.dumps(body)))
    if events:
        Heard(events)


def test_what_is_nested_deeper_than_we_look_is_a_violation() -> None:
    deep = b'data: {"type": "x", "value": ' + b"[" * 900 + b"]" * 900 + b"}\n\n"
    assert Heard(read(begin() + deep, [4096])).error.code == "provider.protocol_violation"


@given(st.text(max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_text_cut_anywhere_is_the_same_text(content: str, cuts: list[int]) -> None:
    """The wire may cut inside a character: between the two escapes of a surrogate pair."""
    units = content.encode("utf-16-le")
    edges = sorted({0, len(units), *(2 * cut for cut in cuts if 2 * cut < len(units))})
    parts = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(edges)]
    assert Heard(read(begin() + text(*parts) + ended(), [11])).text == content


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-MAX_SAFE, MAX_SAFE) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    ),
    st.lists(st.integers(0, 60), max_size=5),
)
def test_arguments_cut_anywhere_are_the_same_arguments(value: Any, cuts: list[int]) -> None:
    raw = json.dumps({"value": value})
    edges = sorted({0, len(raw), *(cut for cut in cuts if cut < len(raw))})
    wire = opened(type="tool_use", id="a", name="bash", input={})
    wire += b"".join(delta(type="input_json_delta", partial_json=raw[a:b]) for a, b in pairwise(edges))
    heard = Heard(read(begin() + wire + closed() + ended("tool_use"), [13]))
    assert heard.first_call.arguments == {"value": value}
    assert heard.first_call.arguments_raw == raw
