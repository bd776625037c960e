"""Whatever a backend sends as Responses, the stream keeps its invariants and nothing is raised."""

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.model import Finish, TextEnd, ToolCallEnd
from tests.unit.providers.chat import Heard, told
from tests.unit.providers.openai_responses.frames import (
    CREATED,
    added,
    answer_of,
    custom,
    done,
    ended,
    event,
    function,
    message,
    read,
    response,
    thought,
    whole,
    words,
)

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "message", "a", "\ud83d"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["type", "id", "content", "text"]), inner, max_size=3)
    ),
    max_leaves=5,
)
text = st.sampled_from(["", "a", "ab", "é😀", "\ud83d", "\ude00", "{", '{"a":1}', "{}", None, 5, {"a": 1}])
kind = st.sampled_from(
    [
        *(
            "message",
            "reasoning",
            "function_call",
            "custom_tool_call",
            "web_search_call",
            "image_generation_call",
        ),
        *("compaction", "computer_call", "?", None),
    ]
)
part = st.fixed_dictionaries(
    {"type": st.sampled_from(["output_text", "refusal", "reasoning_text", "summary_text", "?"])},
    optional={"text": text, "refusal": text, "annotations": st.lists(junk, max_size=2)},
)
item = st.fixed_dictionaries(
    {"type": kind},
    optional={
        "id": st.sampled_from(["x", "y", "", None]),
        "call_id": st.sampled_from(["a", "b", "", None]),
        "name": st.sampled_from(["bash", "", None]),
        "arguments": text,
        "input": text,
        "status": st.sampled_from(["completed", "incomplete", "in_progress", "failed", None]),
        "content": st.lists(part, max_size=2) | junk,
        "summary": st.lists(part, max_size=2),
        "encrypted_content": text,
        "result": text,
    },
)
NAMES = [
    *(
        "output_item.added",
        "output_item.done",
        "content_part.added",
        "content_part.done",
        "output_text.delta",
    ),
    *("output_text.done", "output_text.annotation.added", "refusal.delta", "refusal.done"),
    *("reasoning_summary_part.added", "reasoning_summary_text.delta", "reasoning_summary_text.done"),
    *("reasoning_text.delta", "reasoning_text.done", "function_call_arguments.delta"),
    *("function_call_arguments.done", "custom_tool_call_input.delta", "custom_tool_call_input.done"),
    *("web_search_call.searching", "audio.delta", "audio.done", "audio.transcript.delta", "new", "queued"),
]
fields = st.fixed_dictionaries(
    {},
    optional={
        "item": item | junk,
        "part": part | junk,
        "annotation": junk,
        "item_id": st.sampled_from(["x", "y", "", None]),
        "output_index": st.sampled_from([0, 1, 7, None, "x", True]),
        "content_index": st.sampled_from([0, 1, None]),
        "summary_index": st.sampled_from([0, 1, None]),
        "delta": text,
        "text": text,
        "arguments": text,
        "input": text,
        "refusal": text,
    },
)
END = ["completed", "incomplete", "failed", "cancelled"]
frames = st.one_of(
    st.builds(lambda name, told: event(name, **told), st.sampled_from(NAMES), fields),
    st.builds(lambda name, told: event(name, **told), st.sampled_from(NAMES), fields),
    st.builds(
        lambda name, output, reason: event(
            name, response=response(name, *output, incomplete_details={"reason": reason})
        ),
        st.sampled_from(END),
        st.lists(item, max_size=3),
        st.sampled_from(["max_output_tokens", "content_filter", None, 5]),
    ),
    st.sampled_from(
        [CREATED, b": ping\n\n", b"\n", b"data: x\n\n", event("failed"), event("completed"), b"data: {}\n\n"]
    ),
    junk.map(lambda value: f"data: {json.dumps({'type': value, 'response': value})}\n\n".encode()),
)


@settings(max_examples=2 * settings.default.max_examples, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(frames, max_size=10), st.integers(1, 9), st.booleans())
def test_any_frames_make_a_stream_that_keeps_its_invariants(
    wire: list[bytes], size: int, shown: bool
) -> None:
    raw = b"".join(wire)
    heard = Heard(read([raw], pass_reasoning_to_loop=shown))
    cut = read([raw[at : at + size] for at in range(0, len(raw), size)], pass_reasoning_to_loop=shown)
    assert told(cut) == told(heard.events)
    for one in heard.events:
        json.loads(one.model_dump_json())


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(
    junk | st.builds(lambda output, status: response(status, *output), st.lists(item), st.sampled_from(END))
)
def test_any_body_is_an_answer_that_keeps_them_or_none(body: Any) -> None:
    events = answer_of().whole(body)
    if events:
        Heard(events)


texts = st.text(min_size=1, max_size=6)
legal = st.one_of(
    st.builds(
        lambda said, phase: message(said) | ({"phase": phase} if phase else {}),
        texts,
        st.sampled_from(["", "commentary"]),
    ),
    st.builds(thought, texts),
    st.builds(lambda value: function("", json.dumps({"v": value})), texts),
    st.builds(lambda said: custom("", said), texts),
    st.just({"type": "web_search_call", "status": "completed"}),
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(legal, max_size=5), st.sampled_from([1, 2, 5]))
def test_a_stream_comes_to_what_the_whole_answer_comes_to(output: list[dict[str, Any]], size: int) -> None:
    output = [one | {"id": f"i{at}"} for at, one in enumerate(output)]
    output = [one | {"call_id": f"c{at}"} if "call_id" in one else one for at, one in enumerate(output)]
    wire = [CREATED]
    for at, one in enumerate(output):
        wire.append(
            added(
                one | {"content": [], "summary": [], "arguments": "", "input": "", "status": "in_progress"},
                at,
            )
        )
        said = (
            one.get("arguments")
            or one.get("input")
            or "".join(part["text"] for part in one.get("content", ()))
        )
        pieces = [said[start : start + size] for start in range(0, len(said), size)]
        kind = {"function_call": "function_call_arguments", "custom_tool_call": "custom_tool_call_input"}.get(
            one["type"]
        )
        if kind:
            wire += [
                event(f"{kind}.delta", item_id=one["id"], output_index=at, delta=piece) for piece in pieces
            ]
        elif one["type"] == "message":
            wire.append(words(*pieces, item_id=one["id"], at=at))
        wire.append(done(one, at))
    streamed, at_once = (
        Heard(read([*wire, ended("completed", *output)])),
        whole(response("completed", *output)),
    )
    assert streamed.ended == at_once.ended
    assert isinstance(streamed.finish, Finish)
    assert streamed.finish == at_once.finish
    assert all(one.arguments_state == "ok" for one in streamed.ended if isinstance(one, ToolCallEnd))
    assert streamed.text == "".join(one.text for one in at_once.ended if isinstance(one, TextEnd))
