"""Text, reasoning, refusals, hosted tools and endings of Responses."""

import base64
from typing import Any

import pytest

from protocol.block import Opaque
from protocol.model import (
    Citation,
    Heartbeat,
    Media,
    MessageStart,
    Notice,
    ProviderRaw,
    ReasoningEnd,
    ServerToolEnd,
    ServerToolStart,
    TextEnd,
    TextStart,
)
from protocol.noun import JSONObject
from tests.conformance.provider_suite import said
from tests.unit.providers.chat import Heard
from tests.unit.providers.openai_responses.frames import (
    CREATED,
    WHERE,
    about,
    added,
    call,
    done,
    ended,
    event,
    function,
    hear,
    items,
    kept,
    message,
    read,
    response,
    thought,
    whole,
    words,
)

PART = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
CITED: JSONObject = {"type": "url_citation", "url": "https://a", "title": "A", "end_index": 2}


def of(heard: Heard, *kinds: type) -> list[Any]:
    return [one for one in heard.events if isinstance(one, kinds)]


def test_a_message_as_openai_streams_it() -> None:
    where = about("msg_1", content_index=0)
    heard = hear(
        CREATED,
        event("in_progress", response=response("in_progress", usage=None)),
        added(message()),
        event("content_part.added", **where, part=PART),
        words("Hel", "lo"),
        event("output_text.annotation.added", **where, annotation_index=0, annotation=CITED),
        event("output_text.done", **where, text="Hello", logprobs=[]),
        event("content_part.done", **where, part={**PART, "text": "Hello", "annotations": [CITED]}),
        done(message("Hello")),
        ended("completed", message("Hello")),
        b"data: [DONE]\n\n",
    )
    assert heard.events[:3] == [
        MessageStart(
            provider_message_id="resp_1",
            model_reported="m1-2026",
            created_at=of(heard, MessageStart)[0].created_at,
        ),
        Heartbeat(),
        TextStart(block=0),
    ]
    assert (heard.deltas, heard.text, heard.notices) == (["Hel", "lo"], "Hello", [])
    assert of(heard, Citation) == [
        Citation(block=0, kind="url_citation", uri="https://a", title="A", raw=CITED)
    ]
    usage = heard.finish.usage
    assert (usage.input_uncached, usage.cache_read, usage.cache_write) == (4, 2, 1)
    assert (usage.output_total, usage.output_reasoning, usage.total) == (3, 1, 10)
    assert (heard.finish.reason, heard.finish.native_reason) == ("stop", "completed")


def test_deltas_without_any_frame_around_them_are_text() -> None:
    heard = hear(words("a", "b"), ended())
    assert (heard.text, heard.finish.reason) == ("ab", "stop")


def test_the_text_at_the_end_wins_and_what_it_adds_is_told() -> None:
    longer = hear(CREATED, words("a"), done(message("abc")), ended())
    assert (longer.deltas, longer.text, longer.notices) == (["a", "bc"], "abc", [])
    other = hear(CREATED, words("a"), done(message("xyz")), ended())
    assert (other.text, other.notices) == ("xyz", ["delta_mismatch"])


def test_parts_of_a_message_are_blocks_and_may_arrive_in_turns() -> None:
    heard = hear(CREATED, words("a"), words("b", part=1), words("c"), words("d", part=1), ended())
    assert [(one.block, one.text) for one in of(heard, TextEnd)] == [(0, "ac"), (1, "bd")]


def test_a_message_that_was_never_streamed_is_told_from_the_end() -> None:
    said_so = message("hi")
    said_so["content"][0]["annotations"] = [CITED]
    heard = hear(CREATED, ended("completed", said_so))
    assert (heard.text, len(of(heard, Citation))) == ("hi", 1)


def test_e48_the_phase_of_a_message_goes_back_with_it() -> None:
    heard = hear(
        CREATED,
        done(message("Looking.", phase="commentary")),
        added(message("", "msg_2", phase="final_answer"), 1),
        words("Found.", item_id="msg_2", at=1),
        done(message("Found.", "msg_2"), 1),
        ended(),
    )
    assert [(one["content"], one["phase"]) for one in items(said("go"), *kept(heard))[1:]] == [
        ("Looking.", "commentary"),
        ("Found.", "final_answer"),
    ]
    assert all(
        "phase" not in one for one in items(said("go"), *kept(heard), models=("m1",), base_url="http://other")
    )


def test_e58_an_empty_answer_is_one_without_blocks() -> None:
    for frames in (
        [],
        [added(message()), event("content_part.added", **about("msg_1"), part=PART), done(message())],
    ):
        heard = hear(CREATED, *frames, ended())
        assert (heard.finish.reason, heard.ended) == ("stop", [])


def test_e59_halves_of_a_character_are_joined_and_lone_ones_replaced() -> None:
    heard = hear(CREATED, words("a\ud83d", "\ude00b", "\ud83d"), done(message()), ended())
    assert (heard.deltas, heard.text) == (["a", "😀b", "\ufffd"], "a😀b\ufffd")
    assert heard.notices == ["damaged_text"]


def test_e59_bytes_that_are_no_text_are_replaced_with_a_notice() -> None:
    heard = hear(CREATED, words("a?b").replace(b"?", b"\xff"), ended())
    assert (heard.text, heard.notices) == ("a\ufffdb", ["damaged_text"])


def test_e60_a_large_delta_is_taken() -> None:
    long = "x" * 1_200_000
    heard = Heard(read([CREATED, words(long), ended()]))
    assert heard.text == whole(response("completed", message(long))).text == long


def test_reasoning_is_told_by_its_summary_and_kept_whole() -> None:
    item = thought("first")
    item["summary"].append({"type": "summary_text", "text": "second"})
    item["status"] = None
    heard = hear(
        CREATED,
        added({"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "half"}),
        *(
            event(f"reasoning_summary_{what}", **about("rs_1"), summary_index=at, **fields)
            for at, text in enumerate(("first", "second"))
            for what, fields in (
                ("part.added", {"part": {"type": "summary_text", "text": ""}}),
                ("text.delta", {"delta": text}),
                ("text.done", {"text": text}),
                ("part.done", {"part": {"type": "summary_text", "text": text}}),
            )
        ),
        done(item),
        call("a", "{}", at=1),
        ended(),
    )
    [end] = of(heard, ReasoningEnd)
    assert (end.text, end.visibility) == ("first\n\nsecond", "summary")
    assert end.opaque == (Opaque(provenance=WHERE.model_copy(update={"item_id": "rs_1"}), payload=item),)
    assert items(said("go"), *kept(heard))[1] == item
    hidden = hear(CREATED, done(item), call("a", "{}", at=1), ended(), pass_reasoning_to_loop=False)
    [end] = of(hidden, ReasoningEnd)
    assert (end.text, end.visibility, end.opaque[0].payload) == ("", "omitted", item)


def test_reasoning_that_comes_in_full_is_told_in_full() -> None:
    open_item = {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "ab"}],
    }
    pieces = [event("reasoning_text.delta", **about("rs_1"), content_index=0, delta=one) for one in "ab"]
    heard = hear(
        CREATED, *pieces, event("reasoning_text.done", **about("rs_1"), text="ab"), done(open_item), ended()
    )
    [end] = of(heard, ReasoningEnd)
    assert (end.text, end.visibility, len(end.opaque)) == ("ab", "full", 1)


def test_reasoning_that_never_ended_is_not_kept_for_replay() -> None:
    heard = hear(CREATED, added(thought("x")), words("hi", at=1), ended())
    assert of(heard, ReasoningEnd) == [ReasoningEnd(block=0, text="", visibility="omitted")]


def test_a_refusal_is_told_apart_from_text() -> None:
    part = {"type": "refusal", "refusal": "I will not."}
    refused = message(content=[part])
    streamed = hear(
        CREATED,
        added(message()),
        event("refusal.delta", **about("msg_1"), content_index=0, delta="I will"),
        event("refusal.done", **about("msg_1"), content_index=0, refusal="I will not."),
        event("content_part.done", **about("msg_1"), content_index=0, part=part),
        done(refused),
        ended("completed", refused),
    )
    for heard in (streamed, hear(CREATED, done(refused), ended()), whole(response("completed", refused))):
        assert (heard.refusal, heard.text, heard.finish.reason) == ("I will not.", "", "refusal")


HOSTED = [
    ("web_search_call", {"action": {"type": "search", "query": "q"}}, ["web_search_call.searching"]),
    ("file_search_call", {"queries": ["q"], "results": None}, ["file_search_call.searching"]),
    ("code_interpreter_call", {"code": "1", "outputs": []}, ["code_interpreter_call_code.delta"]),
    ("mcp_call", {"name": "t", "server_label": "s", "arguments": "{}"}, ["mcp_call_arguments.delta"]),
    ("mcp_list_tools", {"server_label": "s", "tools": []}, ["mcp_list_tools.completed"]),
    ("shell_call", {"call_id": "s", "action": {"commands": ["ls"]}}, ["shell_call_command.delta"]),
]


@pytest.mark.parametrize(("kind", "fields", "between"), HOSTED, ids=[one[0] for one in HOSTED])
def test_a_tool_of_the_vendor_is_told_and_its_item_goes_back(
    kind: str, fields: Any, between: list[str]
) -> None:
    item = {"type": kind, "id": "ws_1", "status": "completed", **fields}
    progress = [event(name, **about("ws_1"), delta="x") for name in (f"{kind}.in_progress", *between)]
    heard = hear(
        CREATED, added(item | {"status": "in_progress"}), *progress, done(item), words("hi", at=1), ended()
    )
    name = kind.removesuffix("_call")
    [end] = of(heard, ServerToolEnd)
    assert of(heard, ServerToolStart) == [ServerToolStart(block=0, call_id="ws_1", name=name)]
    assert (end.status, end.opaque[0].payload) == ("completed", item)
    assert len(of(heard, Heartbeat)) == 2
    assert items(said("go"), *kept(heard))[1] == item
    assert heard.finish.reason == "stop"


def test_a_hosted_tool_that_failed_or_was_cut_says_so() -> None:
    item = {"type": "mcp_call", "id": "m", "status": "failed", "error": "no"}
    heard = hear(CREATED, done(item), added(item | {"id": "n"}, 1), ended())
    assert [one.status for one in of(heard, ServerToolEnd)] == ["failed", "truncated"]


def test_a_generated_image_is_told_whole() -> None:
    item = {
        "type": "image_generation_call",
        "id": "ig",
        "status": "completed",
        "result": "aGk=",
        "output_format": "webp",
    }
    partial = event("image_generation_call.partial_image", **about("ig"), partial_image_b64="aA==")
    heard = hear(CREATED, added(item | {"result": None}), partial, done(item), ended())
    assert of(heard, Media) == [Media(block=1, media_type="image/webp", data="aGk=")]


def test_sound_is_told_whole_and_its_transcript_as_text() -> None:
    pieces = [base64.b64encode(one).decode() for one in (b"abc", b"de")]
    heard = hear(
        CREATED,
        *(event("audio.delta", delta=one) for one in pieces),
        event("audio.transcript.delta", delta="hello"),
        event("audio.done"),
        event("audio.transcript.done"),
        ended(),
    )
    assert [base64.b64decode(one.data) for one in of(heard, Media)] == [b"abcde"]
    assert heard.text == "hello"
    assert hear(CREATED, event("audio.delta", delta="?"), event("audio.done"), ended()).notices == [
        "damaged_sound"
    ]


def test_a_compaction_is_told_and_goes_back_to_its_maker() -> None:
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": "x"}
    heard = hear(CREATED, event("compaction.compacting"), done(item), done(message("hi"), 1), ended())
    assert heard.notices == ["compaction"]
    assert [one["type"] for one in items(said("go"), *kept(heard))] == ["message", "compaction", "message"]


def test_what_is_unknown_is_told_raw_and_is_never_fatal() -> None:
    item = {"type": "multi_agent_call", "id": "x"}
    heard = hear(
        CREATED, event("new.thing", a=1), added(item), done(item, 0), added("?"), words("hi"), ended()
    )
    assert [one.payload["type"] for one in of(heard, ProviderRaw)] == [
        "response.new.thing",
        "multi_agent_call",
        "response.output_item.added",
    ]
    assert heard.text == "hi"


def test_reasoning_that_the_vendor_left_out_is_told() -> None:
    removed = [{"id": "rs_1", "action": "removed", "reason": "model_mismatch", "type": "reasoning"}]
    heard = hear(CREATED, words("hi"), ended(input_transformations=removed))
    assert of(heard, Notice) == [
        Notice(code="opaque_dropped", detail="the vendor left reasoning out: model_mismatch")
    ]


@pytest.mark.parametrize(
    ("status", "detail", "reason"),
    [
        ("completed", None, "stop"),
        ("incomplete", "max_output_tokens", "length"),
        ("incomplete", "max_messages", "length"),
        ("incomplete", "content_filter", "content_filter"),
        ("incomplete", "steered", "steered"),
        ("incomplete", "boredom", "other"),
        ("incomplete", None, "other"),
        ("cancelled", None, "cancelled"),
        ("paused", None, "other"),
    ],
)
def test_e69_each_ending_has_its_reason(status: str, detail: str | None, reason: str) -> None:
    fields = {"incomplete_details": {"reason": detail} if detail else None}
    name = status if status != "paused" else "completed"
    streamed = hear(CREATED, words("hi"), event(name, response=response(status, message("hi"), **fields)))
    for heard in (streamed, whole(response(status, message("hi"), **fields))):
        assert (heard.finish.reason, heard.finish.native_reason, heard.finish.native_detail) == (
            reason,
            status,
            detail,
        )
        assert heard.text == "hi"


def test_e68_an_ending_without_usage_is_estimated() -> None:
    heard = hear(CREATED, words("x" * 40), ended(usage=None))
    assert (heard.finish.usage.estimated, heard.finish.usage.output_total) == (True, 10)


def test_e71_what_follows_the_end_is_ignored() -> None:
    frames = [CREATED, words("hi"), ended()]
    assert hear(*frames, b"data: [DONE]\n\n", words("late"), b"data: x\n\n").events == hear(*frames).events


def test_e78_more_cached_than_taken_is_clamped_with_a_notice() -> None:
    usage = {"input_tokens": 1, "output_tokens": 1, "input_tokens_details": {"cached_tokens": 5}}
    heard = hear(CREATED, words("hi"), ended(usage=usage))
    assert (heard.finish.usage.input_uncached, heard.notices) == (0, ["usage_clamped"])


def test_a_whole_answer_comes_to_the_same_blocks_as_its_stream() -> None:
    output = [
        thought("hm"),
        message("Let me look.", phase="commentary"),
        {"type": "web_search_call", "id": "ws", "status": "completed"},
        function("a", '{"x":1}'),
    ]
    body = response("completed", *output)
    streamed = hear(CREATED, *(done(one, at) for at, one in enumerate(output)), ended("completed", *output))
    assert whole(body).events == streamed.events
    assert hear(CREATED, ended("completed", *output)).events == streamed.events
