"""How Messages answers end, what they cost, and how they fail."""

import json
from typing import Any

import pytest

from protocol.model import Finish, FinishReason, UsageSnapshot
from protocol.usage import Usage
from tests.unit.providers.anthropic.wire import (
    answer_of,
    ask,
    begin,
    call,
    closed,
    ended,
    frame,
    hear,
    opened,
    read,
    text,
    thinking,
)
from tests.unit.providers.chat import KEY, Heard
from tests.unit.providers.loopback import Backend, End

pytestmark = pytest.mark.slow

USED = Usage(input_uncached=7, output_total=3, total=10)
OVERLOADED = frame("error", error={"type": "overloaded_error", "message": "Overloaded"}, request_id="req_1")


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("pause_turn", "pause"),
        ("refusal", "refusal"),
        ("model_context_window_exceeded", "context_overflow"),
        ("compaction", "compaction"),
        ("whatever", "other"),
    ],
)
async def test_e74_native_reasons_are_kept_beside_ours(
    backend: Backend, native: str, reason: FinishReason
) -> None:
    heard = await hear(backend, begin(), text("a"), ended(native))
    assert heard.finish == Finish(reason=reason, native_reason=native, usage=USED)


async def test_the_stop_sequence_is_named(backend: Backend) -> None:
    heard = await hear(backend, begin(), text("a"), ended("stop_sequence", stop_sequence="END"))
    assert (heard.finish.reason, heard.finish.native_detail) == ("stop", "END")


async def test_e54_a_refusal_names_its_category_and_keeps_the_text(backend: Backend) -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "because"}
    heard = await hear(backend, begin(), text("a"), ended("refusal", stop_details=details))
    assert (heard.text, heard.finish.reason, heard.finish.native_detail) == ("a", "refusal", "cyber")
    assert heard.notices == ["refusal"]


async def test_reason_and_calls_agree(backend: Backend) -> None:
    silent = await hear(backend, begin(), call("{}"), ended("end_turn"))
    assert (silent.finish.reason, silent.finish.native_reason) == ("tool_calls", "end_turn")
    empty = await hear(backend, begin(), text("a"), ended("tool_use"))
    assert (empty.finish.reason, empty.notices) == ("stop", ["no_tool_calls"])


async def test_e58_an_empty_answer_is_an_answer(backend: Backend) -> None:
    heard = await hear(backend, begin(), ended())
    assert (heard.ended, heard.finish.reason) == ([], "stop")


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [begin()],
        [begin(), text("a")],
        [begin(), opened(0, type="text", text="a")],
        [begin(), call('{"a"')],
        [begin(), text("a"), ended(None)],
        [begin(), text("a"), frame("message_stop")],
    ],
)
async def test_e61_an_answer_without_a_reason_is_truncated(backend: Backend, frames: list[bytes]) -> None:
    heard = await hear(backend, *frames)
    assert (heard.error.code, heard.error.retryable) == ("provider.stream_truncated", True)
    assert heard.error.partial == any(b"content_block" in one for one in frames)
    assert all(end.arguments_state == "truncated" for end in heard.calls)


async def test_e62_a_reason_without_message_stop_is_an_end(backend: Backend) -> None:
    wire = ended().removesuffix(frame("message_stop"))
    heard = await hear(backend, begin(), text("a"), wire)
    assert (heard.finish.reason, heard.notices) == ("stop", ["missing_terminator"])
    unterminated = await hear(backend, begin(), text("a"), wire.removesuffix(b"\n\n"))
    assert unterminated.finish.reason == "stop"


@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_e90_a_connection_that_breaks_leaves_its_calls_truncated(backend: Backend, end: End) -> None:
    backend.answer(begin() + text("a") + call('{"a": 1', index=1).removesuffix(closed(1)), end=end)
    heard = await ask(backend)
    assert (heard.error.code, heard.error.partial) == ("provider.stream_truncated", True)
    assert [one.arguments_state for one in heard.calls] == ["truncated"]
    backend.answer(begin() + text("a") + ended().removesuffix(frame("message_stop")), end=end)
    assert (await ask(backend)).finish.reason == "stop"


async def test_blocks_that_the_wire_left_open_end_with_the_answer(backend: Backend) -> None:
    wire = [thinking("hm").removesuffix(closed()), opened(1, type="text", text="a")]
    wire.append(call("{}", index=2).removesuffix(closed(2)))
    heard = await hear(backend, begin(), *wire, ended("tool_use"))
    assert [end.type for end in heard.ended] == ["reasoning_end", "text_end", "tool_call_end"]
    assert heard.first_call.arguments_state == "ok"


@pytest.mark.parametrize(
    ("first", "last", "usage"),
    [
        ({"input_tokens": 7, "output_tokens": 1}, {"output_tokens": 3}, USED),
        (
            {"input_tokens": 7, "output_tokens": 1, "cache_read_input_tokens": 20},
            {"output_tokens": 3, "cache_creation_input_tokens": 5, "input_tokens": None},
            Usage(input_uncached=7, cache_read=20, cache_write=5, output_total=3, total=35),
        ),
        (
            {"input_tokens": 7, "output_tokens": 1},
            {"input_tokens": 900, "output_tokens": 3},
            Usage(input_uncached=900, output_total=3, total=903),
        ),
        (
            {"input_tokens": 7},
            {"output_tokens": 3, "output_tokens_details": {"thinking_tokens": 2}},
            Usage(input_uncached=7, output_total=3, output_reasoning=2, total=10),
        ),
        (None, {"input_tokens": 7, "output_tokens": 3}, USED),
        (
            {"input_tokens": 7, "cache_read_input_tokens": -5, "output_tokens": 1e400},
            {"output_tokens": 3, "cache_creation_input_tokens": "x"},
            USED,
        ),
    ],
    ids=["plain", "cache", "e72-replaced", "reasoning", "only-at-the-end", "e78-nonsense"],
)
async def test_usage_is_replaced_field_by_field(
    backend: Backend, first: object, last: object, usage: Usage
) -> None:
    heard = await hear(backend, begin(usage=first), text("a"), ended(usage=last))
    assert heard.finish.usage == usage
    assert heard.snapshots[-1] == UsageSnapshot(usage=usage, final=True)


async def test_usage_that_never_comes_is_estimated_and_says_so(backend: Backend) -> None:
    heard = await hear(backend, begin(usage=None), text("abcdefgh"), ended(usage={}))
    assert heard.finish.usage.estimated
    assert heard.finish.usage.output_total == 2
    assert heard.finish.usage.input_uncached > 0


async def test_usage_so_far_is_told_before_a_failure(backend: Backend) -> None:
    heard = await hear(backend, begin(), text("a"))
    assert [(one.usage.input_uncached, one.final) for one in heard.snapshots] == [(7, False), (7, False)]


@pytest.mark.parametrize(
    ("kind", "code", "retryable"),
    [
        ("invalid_request_error", "provider.request_rejected", False),
        ("authentication_error", "provider.unauthorized", False),
        ("billing_error", "provider.quota_exhausted", False),
        ("permission_error", "provider.forbidden", False),
        ("not_found_error", "provider.not_found", False),
        ("conflict_error", "provider.conflict", True),
        ("request_too_large", "provider.payload_too_large", False),
        ("rate_limit_error", "provider.rate_limited", True),
        ("api_error", "provider.failed", True),
        ("timeout_error", "provider.timeout", True),
        ("overloaded_error", "provider.overloaded", True),
        ("new_error", "provider.failed", True),
    ],
)
async def test_e81_an_error_inside_the_stream_is_one_of_its_class(
    backend: Backend, kind: str, code: str, retryable: bool
) -> None:
    heard = await hear(backend, frame("error", error={"type": kind, "message": "no"}))
    assert (heard.error.code, heard.error.retryable, heard.error.partial) == (code, retryable, False)
    assert heard.error.provider_type == kind


async def test_e82_an_error_after_content_says_so(backend: Backend) -> None:
    heard = await hear(backend, begin(), text("a"), OVERLOADED)
    assert (heard.error.code, heard.error.partial) == ("provider.overloaded", True)
    assert heard.error.provider_request_id == "req_1"


@pytest.mark.parametrize(
    ("status", "kind", "message", "code"),
    [
        (400, "invalid_request_error", "max_tokens: required", "provider.request_rejected"),
        (
            400,
            "invalid_request_error",
            "prompt is too long: 212345 tokens > 200000 maximum",
            "provider.context_overflow",
        ),
        (
            400,
            "invalid_request_error",
            "input length and `max_tokens` exceed context limit: 1 + 2 > 2",
            "provider.context_overflow",
        ),
        (
            400,
            "invalid_request_error",
            "messages.1.content.0: Invalid `signature` in `thinking` block",
            "provider.replay_state_rejected",
        ),
        (
            400,
            "invalid_request_error",
            "`thinking` or `redacted_thinking` blocks in the latest assistant message cannot be modified.",
            "provider.replay_state_rejected",
        ),
        (
            400,
            "invalid_request_error",
            "Expected `thinking` or `redacted_thinking`, but found `tool_use`.",
            "provider.replay_state_rejected",
        ),
        (
            400,
            "invalid_request_error",
            "Your credit balance is too low to access the Anthropic API.",
            "provider.quota_exhausted",
        ),
        (401, "authentication_error", "invalid x-api-key", "provider.unauthorized"),
        (403, "permission_error", "no", "provider.forbidden"),
        (404, "not_found_error", "model: nope", "provider.not_found"),
        (413, "request_too_large", "too big", "provider.payload_too_large"),
        (429, "rate_limit_error", "slow down", "provider.rate_limited"),
        (429, "billing_error", "spent", "provider.quota_exhausted"),
        (500, "api_error", "oops", "provider.failed"),
        (504, "timeout_error", "late", "provider.timeout"),
        (529, "overloaded_error", "busy", "provider.overloaded"),
    ],
)
async def test_e85_e88_each_refusal_has_its_class(
    backend: Backend, status: int, kind: str, message: str, code: str
) -> None:
    body = json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "r"})
    headers = [("content-type", "application/json"), ("request-id", "req_9"), ("retry-after", "1.5")]
    backend.answer(body.encode(), status=f"{status} no", headers=headers)
    heard = await ask(backend)
    assert (heard.error.code, heard.error.http_status) == (code, status)
    assert (heard.error.provider_request_id, heard.error.retry_after_ms) == ("req_9", 1500)


async def test_e83_e84_a_whole_body_is_an_answer_an_error_or_somebody_elses(backend: Backend) -> None:
    async def answered(body: object, kind: str = "application/json") -> Heard:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        backend.answer(raw, headers=[("content-type", kind)])
        return await ask(backend)

    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    assert (await answered(error)).error.code == "provider.overloaded"
    assert (await answered(b"<html>", "text/html")).error.code == "provider.protocol_violation"
    assert (await answered([])).error.code == "provider.protocol_violation"


@pytest.mark.parametrize("raw", [b"data: error: no\n\n", b"event: message_start\ndata: [1]\n\n"])
async def test_e96_a_frame_that_is_no_object_is_a_violation(backend: Backend, raw: bytes) -> None:
    heard = await hear(backend, begin(), raw)
    assert heard.error.code == "provider.protocol_violation"
    assert "sha256:" in heard.error.message


async def test_an_error_without_a_type_is_an_error(backend: Backend) -> None:
    heard = await hear(backend, begin(), b'data: {"error": {"message": "busy", "code": 503}}\n\n')
    assert (heard.error.code, heard.error.message) == ("provider.overloaded", "busy")


async def test_an_error_event_in_plain_words_is_an_error(backend: Backend) -> None:
    heard = await hear(backend, b"event: error\ndata: it broke\n\n")
    assert (heard.error.code, heard.error.message) == ("provider.failed", "it broke")


async def test_e94_the_key_is_never_told(backend: Backend) -> None:
    told = {"type": "authentication_error", "message": f"bad key {KEY}"}
    for wire in (frame("error", error=told), begin() + text(f"it is {KEY}") + ended()):
        heard = await hear_once(backend, wire)
        assert KEY not in "".join(event.model_dump_json() for event in heard.events)
    assert backend.asked[0].headers["x-api-key"] == KEY
    assert KEY not in backend.asked[0].raw.decode()


async def hear_once(backend: Backend, wire: bytes) -> Heard:
    backend.answer(wire)
    return await ask(backend)


MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m1-2026",
    "content": [
        {"type": "thinking", "thinking": "hm", "signature": "sig=="},
        {"type": "redacted_thinking", "data": "E"},
        {"type": "text", "text": "a", "citations": [{"type": "char_location", "document_title": "D"}]},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "q"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
        {"type": "tool_use", "id": "toolu_1", "name": "bash", "input": {"a": 1}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 3, "cache_read_input_tokens": 2},
}


def test_a_whole_answer_means_what_its_stream_means() -> None:
    whole = answer_of().whole(MESSAGE)
    blocks = [
        thinking("hm"),
        opened(1, type="redacted_thinking", data="E") + closed(1),
        opened(2, **{**MESSAGE["content"][2], "text": ""}),
        frame("content_block_delta", index=2, delta={"type": "text_delta", "text": "a"}) + closed(2),
        opened(3, **{**MESSAGE["content"][3], "input": {}}),
        frame(
            "content_block_delta",
            index=3,
            delta={"type": "input_json_delta", "partial_json": '{"query": "q"}'},
        ),
        closed(3) + opened(4, **MESSAGE["content"][4]) + closed(4),
        call('{"a":1}', index=5),
    ]
    usage = {"output_tokens": 3, "cache_read_input_tokens": 2}
    streamed = read(begin() + b"".join(blocks) + ended("tool_use", usage=usage), [1000])

    def lasting(events: Any) -> list[Any]:
        passing = ("text_delta", "reasoning_delta", "usage", "citation")
        kept = sorted((e for e in events if e.type == "citation"), key=str)
        return [event for event in events if event.type not in passing] + kept

    assert lasting(whole) == lasting(streamed)
    assert Heard(whole).finish.reason == "tool_calls"


def test_a_whole_answer_that_was_refused_or_has_no_reason_is_told_so() -> None:
    refused = answer_of().whole({**MESSAGE, "content": [], "stop_reason": "refusal"})
    assert Heard(refused).finish.reason == "refusal"
    unfinished = answer_of().whole({**MESSAGE, "stop_reason": None})
    assert Heard(unfinished).error.code == "provider.stream_truncated"
    assert answer_of().whole({"type": "error", "error": {}}) == []
