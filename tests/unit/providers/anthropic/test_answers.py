"""What the content of a Messages stream means: text, reasoning, calls, the vendor's own tools."""

import json
from typing import Any

import pytest

from protocol.model import (
    Citation,
    Heartbeat,
    MessageStart,
    ProviderRaw,
    ReasoningEnd,
    ServerToolEnd,
    ServerToolStart,
    TextEnd,
    ToolCallStart,
)
from protocol.noun import JSONObject
from tests.unit.providers.anthropic.wire import (
    ask,
    begin,
    call,
    closed,
    delta,
    ended,
    frame,
    hear,
    opaque,
    opened,
    reasons,
    text,
    thinking,
)
from tests.unit.providers.chat import Heard
from tests.unit.providers.loopback import Backend


def texts(heard: Heard) -> list[str]:
    return [end.text for end in heard.ended if isinstance(end, TextEnd)]


async def test_text_arrives_in_its_pieces(backend: Backend) -> None:
    heard = await hear(backend, begin(), text("He", "llö ", "👋"), ended())
    assert (heard.text, heard.deltas) == ("Hellö 👋", ["He", "llö ", "👋"])
    assert heard.events[0] == MessageStart(provider_message_id="msg_1", model_reported="m1-2026")


async def test_text_that_stands_in_the_start_of_its_block_counts(backend: Backend) -> None:
    wire = [opened(type="text", text="a"), delta(type="text_delta", text="b"), closed()]
    assert (await hear(backend, begin(), *wire, ended())).deltas == ["a", "b"]


async def test_neighbouring_text_blocks_stay_apart(backend: Backend) -> None:
    heard = await hear(backend, begin(), text("a"), text("b", index=1), ended())
    assert texts(heard) == ["a", "b"]


async def test_e39_interleaved_blocks_are_told_apart_by_their_index(backend: Backend) -> None:
    wire = [
        opened(0, type="text", text=""),
        opened(1, type="tool_use", id="a", name="bash", input={}),
        opened(2, type="text", text=""),
        delta(2, type="text_delta", text="two"),
        delta(1, type="input_json_delta", partial_json='{"a":'),
        delta(0, type="text_delta", text="one"),
        delta(1, type="input_json_delta", partial_json="1}"),
        closed(1),
        closed(0),
        closed(2),
    ]
    heard = await hear(backend, begin(), *wire, ended("tool_use"))
    assert texts(heard) == ["one", "two"]
    assert [(end.block, end.arguments) for end in heard.calls] == [(1, {"a": 1})]


async def test_e40_gaps_in_the_indices_are_closed(backend: Backend) -> None:
    heard = await hear(backend, begin(), text("a", index=3), text("b", index=9), ended())
    assert [end.block for end in heard.ended] == [0, 1]


async def test_blocks_without_index_or_stop_follow_one_another(backend: Backend) -> None:
    wire = [opened(None, type="text", text=""), delta(None, type="text_delta", text="a"), closed(None)]
    wire += [opened(0, type="text", text="b"), opened(0, type="text", text="c")]
    heard = await hear(backend, begin(), *wire, ended())
    assert texts(heard) == ["a", "b", "c"]


async def test_a_delta_without_its_start_begins_the_block(backend: Backend) -> None:
    wire = [delta(0, type="text_delta", text="a"), closed(0), delta(1, type="thinking_delta", thinking="b")]
    heard = await hear(backend, *wire, ended())
    assert (texts(heard), [end.text for end in reasons(heard)]) == (["a"], ["b"])


async def test_e41_the_last_signature_counts(backend: Backend) -> None:
    wire = [thinking("hm", signature="one")[: -len(closed())], delta(type="signature_delta", signature="two")]
    heard = await hear(backend, begin(), *wire, closed(), ended())
    assert reasons(heard) == [
        ReasoningEnd(block=0, text="hm", opaque=(opaque(type="thinking", thinking="hm", signature="two"),))
    ]


async def test_e42_reasoning_that_is_not_shown_keeps_its_signature(backend: Backend) -> None:
    heard = await hear(backend, begin(), thinking(), ended())
    assert reasons(heard) == [
        ReasoningEnd(
            block=0,
            text="",
            visibility="omitted",
            opaque=(opaque(type="thinking", thinking="", signature="sig=="),),
        )
    ]


async def test_reasoning_that_the_entry_hides_is_kept_for_replay(backend: Backend) -> None:
    heard = await hear(backend, begin(), thinking("secret"), ended(), pass_reasoning_to_loop=False)
    assert reasons(heard) == [
        ReasoningEnd(
            block=0,
            text="",
            visibility="omitted",
            opaque=(opaque(type="thinking", thinking="secret", signature="sig=="),),
        )
    ]


async def test_e43_redacted_reasoning_keeps_its_place(backend: Backend) -> None:
    redacted = opened(1, type="redacted_thinking", data="ENC==") + closed(1)
    heard = await hear(backend, begin(), thinking("a"), redacted, thinking("b", index=2), ended())
    assert [end.opaque[0].payload for end in reasons(heard)] == [
        {"type": "thinking", "thinking": "a", "signature": "sig=="},
        {"type": "redacted_thinking", "data": "ENC=="},
        {"type": "thinking", "thinking": "b", "signature": "sig=="},
    ]


async def test_reasoning_that_was_cut_or_damaged_is_not_replayed(backend: Backend) -> None:
    cut = await hear(backend, begin(), thinking("a")[: -len(closed())])
    assert [(end.opaque, end.truncated) for end in reasons(cut)] == [((), True)]
    damaged = await hear(backend, begin(), thinking("a\ud800b"), ended())
    assert [(end.text, end.opaque) for end in reasons(damaged)] == [("a\ufffdb", ())]
    assert damaged.notices == ["damaged_text"]


@pytest.mark.parametrize(
    ("wire", "made"),
    [
        (call('{"a": ', "1}"), ("{'a': 1}", "ok")),
        (call(), ("{}", "empty")),
        (call(""), ("{}", "empty")),
        (call("null"), ("{}", "empty")),
        (call("{}", '{"a": 1}'), ("{'a': 1}", "ok")),
        (call('{"a": 1}', input={"b": 2}), ("{'a': 1}", "ok")),
        (call(input={"b": 2}), ("{'b': 2}", "ok")),
        (call(input='{"b": 2}'), ("{'b': 2}", "ok")),
        (call({"a": 1}), ("{'a': 1}", "ok")),
        (call('"{\\"a\\": 1}"'), ("{'a': 1}", "ok")),
        (call('{"a": 1, "a": 2}'), ("{'a': 2}", "ok")),
        (call('{"a": 1}\n```'), ("{}", "invalid")),
        (call("{]"), ("{}", "invalid")),
        (call("1"), ("{}", "invalid")),
    ],
    ids=[
        "pieces",
        "e9-nothing",
        "e9-empty-fragments",
        "e9-null",
        "e10-placeholder",
        "deltas-win-over-start",
        "e38-only-in-start",
        "e38-text-in-start",
        "e19-object",
        "e20-encoded-twice",
        "e18-twice-a-key",
        "e17-junk-behind",
        "e16-broken",
        "e11-parses-alone",
    ],
)
async def test_what_the_arguments_of_a_call_come_to(
    backend: Backend, wire: bytes, made: tuple[str, str]
) -> None:
    heard = await hear(backend, begin(), wire, ended("tool_use"))
    assert [(str(end.arguments), end.arguments_state) for end in heard.calls] == [made]
    assert heard.finish.reason == "tool_calls"


async def test_e15_a_call_that_the_output_limit_cut_is_truncated(backend: Backend) -> None:
    heard = await hear(backend, begin(), call('{"a": "b'), ended("max_tokens"))
    assert [(end.arguments, end.arguments_raw) for end in heard.calls] == [({}, '{"a": "b')]
    assert (heard.calls[0].arguments_state, heard.finish.reason) == ("truncated", "length")
    for reason in ("max_tokens", "model_context_window_exceeded", "refusal"):
        nothing = await hear(backend, begin(), call(), ended(reason))
        assert nothing.first_call.arguments_state == "truncated"


async def test_a_call_whose_block_was_whole_ends_with_it(backend: Backend) -> None:
    heard = await hear(backend, begin(), call('{"a": 1}'), text("later", index=1), ended("max_tokens"))
    assert [end.type for end in heard.ended] == ["tool_call_end", "text_end"]
    assert heard.first_call.arguments_state == "ok"


async def test_e21_e22_names_come_back_as_they_were_offered(backend: Backend) -> None:
    backend.answer(begin() + text("ok") + ended())
    await ask(backend)
    alias = backend.asked[0].body["tools"][1]["name"]
    heard = await hear(
        backend, begin(), call(name=alias), call(name="unknown", index=1, id="x"), ended("tool_use")
    )
    assert [end.name for end in heard.calls] == ["fs.read/file", "unknown"]


async def test_e5_a_call_without_an_id_gets_one_and_a_used_id_is_replaced(backend: Backend) -> None:
    heard = await hear(backend, begin(), call(id=""), call(id="a", index=1), call(id="a", index=2), ended())
    starts = [event for event in heard.events if isinstance(event, ToolCallStart)]
    assert [start.id_origin for start in starts] == ["synthetic", "wire", "synthetic"]
    assert len({end.call_id for end in heard.calls}) == 3


RESULT: dict[str, Any] = {
    "type": "web_search_tool_result",
    "tool_use_id": "srv_1",
    "content": [{"type": "web_search_result", "url": "https://x", "encrypted_content": "E"}],
}


def search(*pieces: str) -> bytes:
    wire = [delta(0, type="input_json_delta", partial_json=piece) for piece in pieces]
    start = opened(0, type="server_tool_use", id="srv_1", name="web_search", input={})
    return start + b"".join(wire) + closed(0)


async def test_a_tool_of_the_vendor_is_its_call_and_its_result(backend: Backend) -> None:
    wire = search('{"query": ', '"x"}') + opened(1, **RESULT) + closed(1)
    heard = await hear(backend, begin(), wire, text("found", index=2), ended())
    used = {"type": "server_tool_use", "id": "srv_1", "name": "web_search", "input": {"query": "x"}}
    assert [event for event in heard.events if isinstance(event, ServerToolStart | ServerToolEnd)] == [
        ServerToolStart(block=0, call_id="srv_1", name="web_search"),
        ServerToolEnd(
            block=0,
            call_id="srv_1",
            name="web_search",
            status="completed",
            opaque=(opaque(**used), opaque(**RESULT)),
        ),
    ]
    assert (heard.text, heard.finish.reason) == ("found", "stop")


@pytest.mark.parametrize(
    "result",
    [
        {"type": "web_search_tool_result", "content": {"type": "web_search_tool_result_error"}},
        {"type": "mcp_tool_result", "is_error": True, "content": []},
    ],
)
async def test_a_tool_of_the_vendor_may_fail(backend: Backend, result: dict[str, Any]) -> None:
    wire = search("{}") + opened(1, tool_use_id="srv_1", **result) + closed(1)
    heard = await hear(backend, begin(), wire, ended())
    assert [event.status for event in heard.events if isinstance(event, ServerToolEnd)] == ["failed"]


async def test_a_result_without_its_call_is_told_as_both(backend: Backend) -> None:
    heard = await hear(backend, begin(), opened(0, **RESULT), closed(0), ended())
    ends = [event for event in heard.events if isinstance(event, ServerToolEnd)]
    assert [(end.name, end.status, end.opaque) for end in ends] == [
        ("web_search", "completed", (opaque(**RESULT),))
    ]


async def test_e73_a_pause_keeps_what_the_vendor_had_begun(backend: Backend) -> None:
    heard = await hear(backend, begin(), search('{"query": "x"}'), ended("pause_turn"))
    ends = [event for event in heard.events if isinstance(event, ServerToolEnd)]
    assert [(end.status, len(end.opaque)) for end in ends] == [("truncated", 1)]
    assert (heard.finish.reason, heard.finish.native_reason) == ("pause", "pause_turn")


async def test_a_compaction_is_state_of_the_vendor(backend: Backend) -> None:
    wire = [opened(type="compaction", content=None), delta(type="compaction_delta", content="so far")]
    heard = await hear(backend, begin(), *wire, closed(), ended("compaction"))
    ends = [event for event in heard.events if isinstance(event, ServerToolEnd)]
    assert [(end.name, end.opaque) for end in ends] == [
        ("compaction", (opaque(type="compaction", content="so far"),))
    ]
    assert heard.finish.reason == "compaction"


async def test_citations_name_their_sources(backend: Backend) -> None:
    web: JSONObject = {
        "type": "web_search_result_location",
        "url": "https://x",
        "title": "X",
        "cited_text": "y",
    }
    page: JSONObject = {"type": "page_location", "document_title": "D", "start_page_number": 1}
    wire = [opened(type="text", text="", citations=[page]), delta(type="citations_delta", citation=web)]
    heard = await hear(backend, begin(), *wire, delta(type="text_delta", text="a"), closed(), ended())
    assert [event for event in heard.events if isinstance(event, Citation)] == [
        Citation(block=0, kind="page_location", title="D", raw=page),
        Citation(block=0, kind="web_search_result_location", uri="https://x", title="X", raw=web),
    ]


@pytest.mark.parametrize(
    "unknown",
    [
        frame("message_thought", more=1),
        opened(0, type="hologram", data="x"),
        delta(0, type="smell_delta", smell="x"),
        delta(5, type="input_json_delta", partial_json="{"),
        opened(0, type="container_upload", file_id="f"),
        begin(),
    ],
)
async def test_what_is_not_known_is_handed_on_and_breaks_nothing(backend: Backend, unknown: bytes) -> None:
    heard = await hear(backend, begin(), unknown, text("a"), ended())
    payloads = [event.payload for event in heard.events if isinstance(event, ProviderRaw)]
    assert payloads == [json.loads(unknown.partition(b"data: ")[2])]
    assert (heard.text, heard.finish.reason) == ("a", "stop")


async def test_e80_pings_and_comments_are_signs_of_life(backend: Backend) -> None:
    heard = await hear(backend, begin(), frame("ping"), b": hm\n\n", text("a"), ended())
    assert sum(isinstance(event, Heartbeat) for event in heard.events) == 2


async def test_e59_an_emoji_that_is_cut_in_two_is_joined(backend: Backend) -> None:
    heard = await hear(backend, begin(), text("a\ud83d", "\ude00b"), ended())
    assert (heard.text, heard.notices) == ("a😀b", [])
    lone = await hear(backend, begin(), text("a\ud83d", "b"), ended())
    assert (lone.text, lone.notices) == ("a\ufffdb", ["damaged_text"])
    raw = text("a").replace(b'"a"', b'"\xff"')
    damaged = await hear(backend, begin(), raw, ended())
    assert (damaged.text, damaged.notices) == ("\ufffd", ["damaged_text"])


async def test_e60_a_very_large_delta_is_taken_up_to_the_limit_of_a_frame(backend: Backend) -> None:
    large = "x" * (1 << 20)
    backend.answer(begin() + text(large) + ended())
    assert (await ask(backend)).text == large
    backend.answer(begin() + text("x" * (9 << 20)) + ended())
    assert (await ask(backend)).error.code == "provider.protocol_violation"
