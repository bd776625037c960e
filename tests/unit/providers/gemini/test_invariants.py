"""Whatever a backend sends, the stream keeps its invariants and nothing is raised."""

import json
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.model import StreamError
from protocol.strict import MAX_SAFE
from tests.unit.providers.chat import DONE, frame, told
from tests.unit.providers.gemini.words import STOP, Ears, call, chunk, read


def piece_of(where: object, what: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    return {"jsonPath": where, **what, **more}


def call_of(function: object, signed: object) -> dict[str, Any]:
    return {"functionCall": function, "thoughtSignature": signed}


def part_of(kind: str, value: object) -> dict[str, Any]:
    return {kind: value}


def media_of(data: object) -> dict[str, Any]:
    return {"inlineData": {"mimeType": data, "data": data}}


text = st.sampled_from(["", "a", "é😀", "\ud83d", "\ude00", None, 5])
signature = st.sampled_from(["s", "", None, 3])
value = st.sampled_from(
    [{}, {"stringValue": "a"}, {"numberValue": 1}, {"boolValue": True}, {"nullValue": "NULL_VALUE"}]
)
path = st.sampled_from(["$.a", "$.a.b", "$.a[0]", "$.a[1].c", "$['x']", "x", "$", None])
more = st.sampled_from([{}, {"willContinue": True}, {"willContinue": False}])
pieces = st.lists(
    st.one_of(st.none(), st.builds(piece_of, path, value, more)),
    max_size=3,
)
function = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(["a", "b", "", None, 3]),
        "name": st.sampled_from(["bash", "grep", "", None]),
        "args": st.sampled_from([{}, {"a": 1}, {"a": float("nan")}, None, "{", '{"a":1}', [1], 5]),
        "partialArgs": st.one_of(pieces, st.just("x")),
        "willContinue": st.sampled_from([True, False, None]),
    },
)
hosted = st.fixed_dictionaries(
    {}, optional={"id": st.sampled_from(["a", None]), "outcome": text, "toolType": text}
)
part = st.fixed_dictionaries(
    {},
    optional={
        "text": text,
        "thought": st.sampled_from([True, False, None]),
        "thoughtSignature": signature,
    },
)
other = st.one_of(
    st.builds(call_of, function, signature),
    st.builds(
        part_of,
        st.sampled_from(["executableCode", "codeExecutionResult", "toolCall", "toolResponse", "inlineData"]),
        hosted,
    ),
    st.builds(media_of, text),
)
native = st.sampled_from(
    [None, None, "STOP", "MAX_TOKENS", "SAFETY", "MALFORMED_RESPONSE", "CONTINUATION", "?", "", 7]
)
usage = st.sampled_from([None, {}, {"promptTokenCount": 1}, {"totalTokenCount": 1e300}, "x"])
odd: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3), lambda inner: st.lists(inner, max_size=3)
)


def chunk_of(parts: list[Any], reason: Any, counts: object, rest: dict[str, Any]) -> bytes:
    return chunk(*parts, finish=reason, usage=counts, **rest)


around = st.fixed_dictionaries(
    {},
    optional={
        "continuationToken": signature,
        "groundingMetadata": st.fixed_dictionaries(
            {}, optional={"groundingChunks": odd, "webSearchQueries": odd}
        ),
        "citationMetadata": odd,
        "safetyRatings": odd,
        "index": st.sampled_from([0, 1]),
    },
)
frames = st.one_of(
    st.builds(chunk_of, st.lists(st.one_of(part, part, other, odd), max_size=4), native, usage, around),
    st.sampled_from([DONE, b": ping\n\n", b"data: x\n\n", frame({"error": {"code": 500}}), frame([])]),
    odd.map(
        lambda one: frame({"candidates": one, "promptFeedback": one, "responseId": one, "createTime": one})
    ),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(frames, max_size=8), st.integers(1, 7), st.booleans())
def test_any_frames_make_a_stream_that_keeps_its_invariants(
    wire: list[bytes], step: int, show_reasoning: bool
) -> None:
    raw = b"".join(wire)
    heard = Ears(read(raw, range(0, len(raw), step), shown=show_reasoning))
    assert told(heard.events) == told(read(raw, [], shown=show_reasoning))
    for event in heard.events:
        json.loads(event.model_dump_json().encode())
    if b"finishReason" not in raw:
        assert isinstance(heard.terminal, StreamError), "nothing said that the answer was over"


@given(st.text(max_size=40), st.lists(st.integers(0, 40), max_size=5))
def test_text_cut_anywhere_is_the_same_text(content: str, cuts: list[int]) -> None:
    units = content.encode("utf-16-le")
    edges = sorted({0, len(units), *(2 * cut for cut in cuts if 2 * cut < len(units))})
    texts = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(edges)]
    raw = b"".join(chunk(one) for one in texts) + STOP
    assert Ears(read(raw, [])).text == content


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-MAX_SAFE, MAX_SAFE) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
        max_leaves=8,
    )
)
def test_arguments_come_as_they_were_written(given_value: Any) -> None:
    heard = Ears(read(chunk(call(args={"value": given_value})) + STOP, []))
    assert heard.first_call.arguments == {"value": given_value}
