"""Whatever a backend sends, the stream keeps its invariants and nothing is raised."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.block import Provenance
from protocol.digest import digest
from protocol.model import Finish
from protocol.sse import Parser
from protocol.strict import MAX_SAFE
from providers.openai_compatible.params import DefaultParams
from providers.openai_compatible.request import body_of
from providers.openai_compatible.stream import ChatAnswer
from providers.refusals import Scrubber
from tests.conformance.provider_suite import request, said
from tests.unit.providers.chat import DONE, KEY, REF, Heard, chunk, frame, told

WHERE = Provenance(dialect="chat", vendor="h", account_scope=digest(REF), model_family="m1")
BODY = body_of(request(said("go")), DefaultParams(), token_field="max_completion_tokens", provenance=WHERE)

text = st.sampled_from(["", "a", "é😀", "\ud83d", "\ude00", "<think>", "</thi", "nk>", None])
arguments = st.sampled_from(["", "{", "}", '{"a":1}', "{}", "null", '"', "\\", "[", {"a": 1}, None, 5])
call = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([0, 1, 7, None, "x", True]),
        "id": st.sampled_from(["a", "b", "", None, 3]),
        "function": st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {}, optional={"name": st.sampled_from(["ba", "sh", "bash", "", None]), "arguments": arguments}
            ),
        ),
    },
)
delta = st.fixed_dictionaries(
    {},
    optional={
        "content": st.one_of(text, st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": text}))),
        "reasoning_content": text,
        "reasoning_details": st.lists(
            st.one_of(st.none(), st.fixed_dictionaries({"type": text, "index": st.integers(0, 1)}))
        ),
        "refusal": text,
        "tool_calls": st.lists(st.one_of(call, st.none()), max_size=3),
        "function_call": st.fixed_dictionaries({}, optional={"name": text, "arguments": arguments}),
    },
)
finish = st.sampled_from(
    [None, None, None, "stop", "tool_calls", "length", "content_filter", "error", "?", ""]
)
usage = st.sampled_from([None, {}, {"prompt_tokens": 1}, {"prompt_tokens": 1, "completion_tokens": 2}, "x"])


def chunk_of(fields: dict[str, Any], native: str | None, counts: object) -> bytes:
    return chunk(native, usage=counts, **fields)


frames = st.one_of(
    st.builds(chunk_of, delta, finish, usage),
    st.sampled_from([DONE, b": ping\n\n", b"\n", b"data: x\n\n", frame({"error": {"code": 500}}), frame([])]),
    st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists).map(
        lambda value: frame({"id": value, "choices": value, "created": value, "usage": value})
    ),
)


def read(wire: bytes, pieces: int, **settings_: Any) -> Heard:
    answer = ChatAnswer(
        BODY,
        provenance=WHERE,
        scrubber=Scrubber((KEY,)),
        cost=lambda usage: None,
        **({"show_reasoning": True, "think_tags": False} | settings_),
    )
    parser = Parser()
    events = [
        event
        for at in range(0, len(wire), pieces)
        for one in parser.feed(wire[at : at + pieces])
        for event in answer.take(one)
    ]
    return Heard(events if answer.over else events + answer.last(parser.end()))


@settings(
    max_examples=2 * settings.default.max_examples,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(frames, max_size=10), st.integers(1, 7), st.booleans(), st.booleans())
def test_any_frames_make_a_stream_that_keeps_its_invariants(
    wire: list[bytes], pieces: int, show_reasoning: bool, think_tags: bool
) -> None:
    raw = b"".join(wire)
    heard = read(raw, pieces, show_reasoning=show_reasoning, think_tags=think_tags)
    whole = read(raw, len(raw) + 1, show_reasoning=show_reasoning, think_tags=think_tags)
    assert told(heard.events) == told(whole.events)
    for event in heard.events:
        json.loads(event.model_dump_json())
    if not isinstance(heard.terminal, Finish):
        assert all(end.arguments_state == "truncated" for end in heard.calls)


@given(st.text(max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_text_cut_anywhere_is_the_same_text(content: str, cuts: list[int]) -> None:
    """The wire may cut inside a character: between the two escapes of a surrogate pair."""
    escaped = json.dumps(content)[1:-1]
    units = content.encode("utf-16-le")
    edges = sorted({0, len(units), *(2 * cut for cut in cuts if 2 * cut < len(units))})
    pieces = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(edges)]
    raw = b"".join(chunk(content=piece) for piece in pieces) + chunk("stop") + DONE
    assert read(raw, 11).text == content, escaped


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
    wire = b"".join(
        chunk(tool_calls=[{"index": 0, "id": "a", "function": {"name": "bash", "arguments": raw[a:b]}}])
        for a, b in pairwise(edges)
    )
    heard = read(wire + chunk("tool_calls") + DONE, 13)
    assert heard.first_call.arguments == {"value": value}
    assert heard.first_call.arguments_raw == raw
