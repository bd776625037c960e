"""How answers end, what they are said to have consumed, and how they fail."""

import json

import pytest

from protocol.model import Finish, FinishReason, Heartbeat, StreamError, UsageSnapshot
from protocol.usage import Usage
from tests.conformance.provider_suite import said
from tests.unit.providers.chat import DONE, KEY, frame, told
from tests.unit.providers.gemini.words import (
    STOP,
    USAGE,
    Ears,
    ask,
    call,
    chunk,
    contents,
    hear,
    read,
    sent,
    turn_of,
    whole,
)
from tests.unit.providers.loopback import Backend, End

pytestmark = pytest.mark.slow

USED = Usage(input_uncached=7, output_total=3, total=10)
FILTERED = ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "IMAGE_SAFETY", "MODEL_ARMOR"]
OTHERS = ["OTHER", "TOO_MANY_TOOL_CALLS", "ESCALATION", "NO_IMAGE", "IMAGE_OTHER", "BRAND_NEW"]
JSON_HEAD = (("content-type", "application/json"),)


def refusal(code: int, status: str, message: str = "no", *details: object) -> bytes:
    error = {"code": code, "message": message, "status": status, "details": list(details)}
    return json.dumps({"error": error}).encode()


async def refused(backend: Backend, status: int, body: bytes, *headers: tuple[str, str]) -> StreamError:
    backend.answer(body, status=f"{status} X", headers=[*JSON_HEAD, *headers])
    return (await ask(backend)).error


@pytest.mark.parametrize(
    ("native", "reason"),
    [
        ("STOP", "stop"),
        ("MAX_TOKENS", "length"),
        ("FINISH_REASON_UNSPECIFIED", "other"),
        *((native, "content_filter") for native in FILTERED),
        *((native, "other") for native in OTHERS),
    ],
)
async def test_e76_native_reasons_are_kept_beside_ours(
    backend: Backend, native: str, reason: FinishReason
) -> None:
    heard = await hear(backend, chunk("a", finish=native, usage=USAGE))
    assert heard.finish == Finish(reason=reason, native_reason=native, usage=USED)


async def test_of_several_reasons_the_one_counts_that_says_most(backend: Backend) -> None:
    heard = await hear(
        backend, chunk("a", finish="FINISH_REASON_UNSPECIFIED"), chunk(finish="MAX_TOKENS"), STOP
    )
    assert heard.finish.native_reason == "MAX_TOKENS"
    late = await hear(backend, STOP, chunk("late"))
    assert (late.text, late.notices) == ("late", ["late_content"])


async def test_what_a_filter_found_is_the_detail(backend: Backend) -> None:
    ratings = [{"category": "HARM_CATEGORY_HARASSMENT", "blocked": True}, {"category": "x"}]
    rated = await hear(backend, chunk("a", finish="SAFETY", safetyRatings=ratings))
    said_so = await hear(backend, chunk("a", finish="SAFETY", finishMessage=f"no {KEY}"))
    assert rated.finish.native_detail == "HARM_CATEGORY_HARASSMENT"
    assert said_so.finish.native_detail is not None
    assert KEY not in said_so.finish.native_detail


@pytest.mark.parametrize("native", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"])
async def test_an_answer_that_is_unusable_is_an_error(backend: Backend, native: str) -> None:
    heard = await hear(backend, chunk(finish=native, finishMessage="print(", usage=USAGE))
    assert (heard.error.code, heard.error.retryable) == ("provider.output_malformed", True)
    assert "print(" in heard.error.message
    assert heard.snapshots == [UsageSnapshot(usage=USED)]


async def test_a_missing_signature_is_rejected_state(backend: Backend) -> None:
    heard = await hear(backend, chunk(finish="MISSING_THOUGHT_SIGNATURE"))
    assert (heard.error.code, heard.error.retryable) == ("provider.replay_state_rejected", False)
    error = await refused(
        backend, 400, refusal(400, "INVALID_ARGUMENT", "Function call is missing a thought_signature in ...")
    )
    assert error.code == "provider.replay_state_rejected"


async def test_e55_a_blocked_prompt_is_an_empty_answer(backend: Backend) -> None:
    heard = await hear(backend, frame({"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": USAGE}))
    assert (heard.ended, heard.finish.reason) == ([], "content_filter")
    assert (heard.finish.native_reason, heard.finish.native_detail) == (None, "SAFETY")


async def test_e56_e58_an_answer_without_content_is_a_stop_without_blocks(backend: Backend) -> None:
    for wire in (STOP, chunk("", finish="STOP"), chunk(finish="STOP", content={"role": "model"})):
        heard = await hear(backend, wire)
        assert (heard.ended, heard.finish.reason) == ([], "stop")


@pytest.mark.parametrize(
    "frames", [[], [chunk("a")], [chunk(call(args={}))], [DONE], [frame({"usageMetadata": USAGE})]]
)
async def test_an_answer_without_a_reason_is_truncated(backend: Backend, frames: list[bytes]) -> None:
    heard = await hear(backend, *frames)
    assert (heard.error.code, heard.error.retryable) == ("provider.stream_truncated", True)
    assert heard.error.partial == bool(heard.ended)


@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_e90_a_connection_that_breaks_breaks_only_what_was_not_over(backend: Backend, end: End) -> None:
    backend.answer(chunk("a", usage=USAGE) + STOP, end=end)
    assert (await ask(backend)).finish.usage == USED
    backend.answer(chunk("a"), end=end)
    heard = await ask(backend)
    assert (heard.error.code, heard.error.partial) == ("provider.stream_truncated", True)


async def test_an_unterminated_last_frame_counts_if_it_can_be_read(backend: Backend) -> None:
    assert (await hear(backend, chunk("a"), STOP[:-2])).finish.reason == "stop"
    assert (await hear(backend, chunk("a"), STOP[:-9])).error.code == "provider.stream_truncated"
    assert (await hear(backend, chunk("a"), STOP, DONE)).finish.reason == "stop"


async def test_e75_the_last_usage_counts_also_without_candidates(backend: Backend) -> None:
    early = {"promptTokenCount": 7, "totalTokenCount": 7}
    heard = await hear(
        backend, chunk("a", usage=early), STOP, frame({"usageMetadata": USAGE}), chunk(usage={})
    )
    assert heard.finish.usage == USED
    assert heard.snapshots == [UsageSnapshot(usage=USED, final=True)]


async def test_the_input_buckets_are_disjoint(backend: Backend) -> None:
    usage = {
        "promptTokenCount": 100,
        "toolUsePromptTokenCount": 10,
        "cachedContentTokenCount": 60,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 15,
        "totalTokenCount": 145,
    }
    heard = await hear(backend, chunk("a", finish="STOP", usage=usage))
    assert heard.finish.usage == Usage(
        input_uncached=50, cache_read=60, output_total=35, output_reasoning=15, total=145
    )


async def test_e78_more_cached_than_given_is_clamped(backend: Backend) -> None:
    heard = await hear(backend, chunk("a", finish="STOP", usage={**USAGE, "cachedContentTokenCount": 50}))
    assert (heard.finish.usage.input_uncached, heard.notices) == (0, ["usage_clamped"])


async def test_usage_that_never_comes_is_estimated_and_says_so(backend: Backend) -> None:
    heard = await hear(backend, chunk("abcdefgh"), STOP)
    assert (heard.finish.usage.estimated, heard.finish.usage.output_total) == (True, 2)


async def test_only_the_first_candidate_is_used(backend: Backend) -> None:
    heard = await hear(backend, chunk("a"), chunk("X", index=1), STOP)
    assert (heard.text, heard.notices) == ("a", ["extra_choice"])


@pytest.mark.parametrize("last", [[chunk("one")], [chunk("one"), chunk(call(args={}))], []])
async def test_e77_an_answer_that_paused_goes_on_by_its_token(backend: Backend, last: list[bytes]) -> None:
    paused = await hear(backend, *last, chunk(finish="CONTINUATION", continuationToken="dG9r"))
    assert (paused.finish.reason, paused.finish.native_reason) == ("pause", "CONTINUATION")
    if any(b"functionCall" in one for one in last):
        return
    before = (await sent(backend)).body
    asked = [said("go"), *turn_of(paused)]
    body = (await sent(backend)).body
    wire = await contents(backend, *asked)
    assert wire == body["contents"] == before["contents"]
    assert backend.asked[-1].body["continuationToken"] == "dG9r"
    rest = await hear(backend, chunk(" two", finish="STOP"))
    done = await contents(backend, *asked, *turn_of(rest), said("next"))
    assert "".join(part["text"] for part in done[1]["parts"]) == "one two"[0 if last else 3 :]
    assert "continuationToken" not in backend.asked[-1].body


@pytest.mark.parametrize("shape", ["list", "object"])
async def test_a_whole_answer_is_what_its_stream_would_have_said(backend: Backend, shape: str) -> None:
    frames = [
        chunk({"text": "hm", "thought": True, "thoughtSignature": "t"}),
        chunk("a", {"text": "b", "thoughtSignature": "s"}),
        chunk(call(args={"x": 1}, id="w")),
        chunk({"executableCode": {"id": "e", "code": "1"}}, {"codeExecutionResult": {"id": "e"}}),
        chunk(finish="STOP", usage=USAGE),
    ]
    parts = [json.loads(one.removeprefix(b"data: ")) for one in frames]
    streamed = read(b"".join(frames), [])
    assert told(whole(frames)) == told(streamed)
    body: object = parts
    if shape == "object":
        listed = [part for one in parts for part in one["candidates"][0].get("content", {}).get("parts", [])]
        candidate = {"content": {"parts": listed}, "finishReason": "STOP"}
        body = {**parts[0], "candidates": [candidate], "usageMetadata": USAGE}
    backend.answer(json.dumps(body).encode(), headers=JSON_HEAD)
    heard = await ask(backend)
    assert told(heard.ended) == told(Ears(streamed).ended)
    assert heard.finish == streamed[-1]


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (400, refusal(400, "INVALID_ARGUMENT"), "provider.request_rejected", False),
        (400, refusal(400, "FAILED_PRECONDITION"), "provider.request_rejected", False),
        (
            400,
            refusal(400, "INVALID_ARGUMENT", "x", {"reason": "API_KEY_INVALID"}),
            "provider.unauthorized",
            False,
        ),
        (
            400,
            refusal(
                400, "INVALID_ARGUMENT", "The input token count (9) exceeds the maximum number of tokens (8)."
            ),
            "provider.context_overflow",
            False,
        ),
        (401, refusal(401, "UNAUTHENTICATED"), "provider.unauthorized", False),
        (403, refusal(403, "PERMISSION_DENIED"), "provider.forbidden", False),
        (404, refusal(404, "NOT_FOUND"), "provider.not_found", False),
        (404, b"", "provider.endpoint_not_found", False),
        (429, refusal(429, "RESOURCE_EXHAUSTED"), "provider.rate_limited", True),
        (499, refusal(499, "CANCELLED"), "provider.failed", True),
        (500, refusal(500, "INTERNAL"), "provider.failed", True),
        (503, refusal(503, "UNAVAILABLE"), "provider.overloaded", True),
        (504, refusal(504, "DEADLINE_EXCEEDED"), "provider.failed", True),
        (429, b"[" + refusal(429, "RESOURCE_EXHAUSTED") + b"]", "provider.rate_limited", True),
        (529, b"", "provider.overloaded", True),
    ],
)
async def test_e85_a_status_has_its_class(
    backend: Backend, status: int, body: bytes, code: str, retryable: bool
) -> None:
    error = await refused(backend, status, body)
    assert (error.code, error.retryable, error.http_status) == (code, retryable, status)


async def test_e86_the_delay_that_the_details_name_is_the_last_hint(backend: Backend) -> None:
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
    body = refusal(429, "RESOURCE_EXHAUSTED", "slow", delay)
    spoken = refusal(429, "RESOURCE_EXHAUSTED", "Please retry in 2.5s.", delay)
    assert (await refused(backend, 429, body)).retry_after_ms == 34_500
    assert (await refused(backend, 429, body, ("retry-after", "2"))).retry_after_ms == 2_000
    assert (await refused(backend, 429, spoken)).retry_after_ms == 2_500
    streamed = await hear(backend, frame(json.loads(body)))
    assert (streamed.error.retry_after_ms, streamed.error.provider_type) == (34_500, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize("listed", [False, True])
async def test_e81_e82_e97_an_error_in_the_stream_ends_it(backend: Backend, listed: bool) -> None:
    body = json.loads(refusal(503, "UNAVAILABLE", f"busy, {KEY}"))
    wire = frame([body] if listed else body)
    first = await hear(backend, wire)
    assert (first.error.code, first.error.http_status, first.error.partial) == (
        "provider.overloaded",
        503,
        False,
    )
    after = await hear(backend, chunk("a"), wire, chunk("late"))
    assert (after.error.partial, after.text) == (True, "a")
    assert KEY not in after.error.model_dump_json()


@pytest.mark.parametrize("listed", [False, True])
async def test_e83_an_error_body_under_status_200_is_an_error(backend: Backend, listed: bool) -> None:
    body = refusal(429, "RESOURCE_EXHAUSTED")
    backend.answer(b"[" + body + b"]" if listed else body, headers=JSON_HEAD)
    assert (await ask(backend)).error.code == "provider.rate_limited"
    backend.answer(b"[" + chunk("a").removeprefix(b"data: ") + b"," + body + b"]", headers=JSON_HEAD)
    heard = await ask(backend)
    assert (heard.text, heard.error.code, heard.error.partial) == ("a", "provider.rate_limited", True)


@pytest.mark.parametrize("kind", ["text/html", "application/json"])
@pytest.mark.parametrize("body", [b"<html>", b"{}", b"[]", b"1", b'{"choices": []}'])
async def test_e84_somebody_elses_page_is_a_violation(backend: Backend, kind: str, body: bytes) -> None:
    backend.answer(body, headers=[("content-type", kind)])
    assert (await ask(backend)).error.code == "provider.protocol_violation"


@pytest.mark.parametrize(
    "data", [b"error: boom", b"{", b"[1]", b"1", b"[]", b"[" * 100_000, b'{"a":' * 300 + b"1" + b"}" * 300]
)
async def test_e96_a_frame_that_is_not_an_object_is_a_violation_with_its_digest(
    backend: Backend, data: bytes
) -> None:
    heard = Ears(read(chunk("a") + b"data: " + data + b"\n\n" + STOP, []))
    assert heard.error.code == "provider.protocol_violation"
    assert "sha256:" in heard.error.message


async def test_e80_comments_are_heartbeats(backend: Backend) -> None:
    heard = await hear(backend, b": ping\n\n", b":\n", b"data\n\n", chunk("a"), STOP)
    assert heard.of(Heartbeat) == [Heartbeat(), Heartbeat()]


async def test_e94_the_credential_is_in_no_url_and_in_no_event(backend: Backend) -> None:
    one = await sent(backend)
    assert (one.headers["x-goog-api-key"], KEY in one.path, KEY.encode() in one.raw) == (KEY, False, False)
    parts = [{"executableCode": {"code": KEY}}, {"odd": KEY}, {"text": KEY, "thought": True}]
    backend.answer(chunk(KEY, call(args={"a": KEY}), *parts) + chunk(finish="STOP", finishMessage=KEY))
    heard = await ask(backend)
    assert len(heard.events) > 9
    assert not any(KEY in event.model_dump_json() for event in heard.events)


async def test_a_stream_cut_at_every_byte_is_an_error_or_whole() -> None:
    wire = chunk("Hé", {"text": "llo", "thoughtSignature": "s"}) + chunk(call(args={"x": 1}, id="w")) + STOP
    ends = [type(Ears(read(wire[:cut], [])).terminal).__name__ for cut in range(len(wire) + 1)]
    assert set(ends[: ends.index("Finish")]) == {"StreamError"}
    assert set(ends[ends.index("Finish") :]) == {"Finish"}
