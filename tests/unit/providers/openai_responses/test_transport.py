"""Errors of Responses, inside the stream and around it: each of its class, none an exception."""

import asyncio
import gzip
import json
from contextlib import aclosing
from typing import Any

import pytest

from protocol.model import Heartbeat, ToolCallDelta, ToolCallEnd
from providers.exchange import Patience
from tests.conformance.provider_suite import request, said
from tests.unit.providers.chat import KEY, Heard
from tests.unit.providers.loopback import Backend, End
from tests.unit.providers.openai_responses.frames import (
    CREATED,
    added,
    arguments,
    ask,
    call,
    ended,
    event,
    function,
    hear,
    message,
    provider_of,
    response,
    thought,
    whole,
    words,
)

JSON_HEAD = (("content-type", "application/json"),)


def failed(code: str | None, message: str = "no", **fields: Any) -> bytes:
    error = None if code is None else {"code": code, "message": message}
    return event("failed", response=response("failed", error=error, **fields))


def flat(code: str | None, message: str = "no") -> bytes:
    told = {"type": "error", "code": code, "message": message, "param": None, "sequence_number": 3}
    return f"event: error\ndata: {json.dumps(told)}\n\n".encode()


CODES = [
    ("rate_limit_exceeded", "provider.rate_limited", True),
    ("server_error", "provider.failed", True),
    ("vector_store_timeout", "provider.failed", True),
    ("server_is_overloaded", "provider.overloaded", True),
    ("context_length_exceeded", "provider.context_overflow", False),
    ("insufficient_quota", "provider.quota_exhausted", False),
    ("invalid_prompt", "provider.content_refused", False),
    ("bio_policy", "provider.content_refused", False),
    ("misalignment_policy_violation", "provider.content_refused", False),
    ("image_content_policy_violation", "provider.content_refused", False),
    ("data_residency_mismatch", "provider.forbidden", False),
    ("invalid_encrypted_content", "provider.replay_state_rejected", False),
    (None, "provider.failed", True),
]


@pytest.mark.parametrize(("code", "kind", "retryable"), CODES)
def test_each_code_of_an_error_has_its_class_wherever_it_stands(
    code: str | None, kind: str, retryable: bool
) -> None:
    body = response("failed", error={"code": code, "message": "no"} if code else None)
    for heard in (hear(CREATED, failed(code)), hear(CREATED, flat(code)), hear(flat(code)), whole(body)):
        assert (heard.error.code, heard.error.retryable, heard.error.partial) == (kind, retryable, False)
        assert heard.error.provider_code == code


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (
            "Item with id 'rs_1' not found. Items are not persisted when `store` is false.",
            "replay_state_rejected",
        ),
        (
            "Item 'rs_1' of type 'reasoning' was provided without its required following item.",
            "replay_state_rejected",
        ),
        ("The encrypted content gAAA... could not be verified.", "replay_state_rejected"),
        ("Your input exceeds the context window of this model.", "context_overflow"),
    ],
)
async def test_what_only_the_words_tell_is_read_from_them(backend: Backend, text: str, kind: str) -> None:
    body = {"error": {"message": text, "type": "invalid_request_error", "code": None}}
    backend.answer(json.dumps(body).encode(), status="400 X", headers=JSON_HEAD)
    assert (await ask(backend)).error.code == f"provider.{kind}"


def test_e70_a_rate_limit_in_the_stream_says_when_to_come_back() -> None:
    heard = hear(CREATED, failed("rate_limit_exceeded", "Please try again in 1.3s."))
    assert (heard.error.code, heard.error.retry_after_ms) == ("provider.rate_limited", 1300)


def test_e81_an_error_as_the_first_event_delivered_nothing() -> None:
    nested = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    for frame in (f"event: error\ndata: {json.dumps(nested)}\n\n", f"data: {json.dumps(nested)}\n\n"):
        heard = hear(frame.encode())
        assert (heard.error.code, heard.error.partial, heard.error.message) == (
            "provider.overloaded",
            False,
            "busy",
        )


@pytest.mark.parametrize(
    "end", [failed("server_error"), flat("server_error"), b"event: error\ndata: boom\n\n"]
)
def test_e82_an_error_after_content_is_partial(end: bytes) -> None:
    heard = hear(CREATED, words("a"), added(function("a"), 1), arguments('{"a":1}', at=1), end)
    assert (heard.error.code, heard.error.partial, heard.text) == ("provider.failed", True, "a")
    assert heard.made == [("a", "bash", "{}", "truncated")]


def test_usage_that_a_failure_tells_is_kept() -> None:
    heard = hear(CREATED, failed("server_error"))
    assert [(one.usage.total, one.final) for one in heard.snapshots] == [(10, False)]


@pytest.mark.parametrize("status", ["queued", "in_progress"])
def test_an_answer_that_is_not_over_is_truncated(status: str) -> None:
    streamed = hear(CREATED, event(status, response=response(status)), words("a"))
    for heard in (streamed, whole(response(status, message("a")))):
        assert heard.error.code == "provider.stream_truncated"


def test_e80_comments_and_waiting_are_heartbeats() -> None:
    waiting = event("queued", response=response("queued"))
    heard = hear(b": ping\n\n", CREATED, waiting, words("a"), ended())
    assert sum(isinstance(one, Heartbeat) for one in heard.events) == 2


@pytest.mark.parametrize("data", [b"error: boom", b"{", b"[1]", b"1", b"[" * 5_000])
def test_e96_a_frame_that_is_not_an_object_is_a_violation_with_its_digest(data: bytes) -> None:
    heard = hear(CREATED, words("a"), b"data: " + data + b"\n\n", ended())
    assert heard.error.code == "provider.protocol_violation"
    assert "sha256:" in heard.error.message


def test_an_unterminated_last_frame_counts_if_it_can_be_read() -> None:
    assert hear(CREATED, words("a"), ended()[:-2]).finish.reason == "stop"
    assert hear(CREATED, words("a"), ended()[:-9]).error.code == "provider.stream_truncated"


async def test_e83_an_error_body_under_status_200_is_an_error_by_its_body(backend: Backend) -> None:
    body = {"error": {"message": "no", "type": "insufficient_quota", "code": "insufficient_quota"}}
    for shape in (body, response("failed", error=body["error"])):
        backend.answer(json.dumps(shape).encode(), headers=JSON_HEAD)
        assert (await ask(backend)).error.code == "provider.quota_exhausted"


async def test_a_whole_answer_where_a_stream_was_asked_for_is_read(backend: Backend) -> None:
    output = [thought("hm"), message("hi"), function("a", "{}")]
    backend.answer(json.dumps(response("completed", *output)).encode(), headers=JSON_HEAD)
    heard = await ask(backend)
    assert (heard.text, heard.made) == ("hi", [("a", "bash", "{}", "ok")])


async def test_e84_a_page_of_somebody_else_is_a_protocol_violation(backend: Backend) -> None:
    backend.answer(b"<html>log in</html>", headers=[("content-type", "text/html")])
    assert (await ask(backend)).error.code == "provider.protocol_violation"


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "request_rejected"), (401, "unauthorized"), (404, "endpoint_not_found"), (429, "rate_limited"),
     (500, "failed"), (503, "overloaded"), (529, "overloaded")],
)  # fmt: skip
async def test_e85_a_status_has_its_class_and_its_hint(backend: Backend, status: int, code: str) -> None:
    headers = [("retry-after", "9"), ("retry-after-ms", "250"), ("x-request-id", "req_1")]
    backend.answer(b"<html>", status=f"{status} X", headers=headers)
    error = (await ask(backend)).error
    assert (error.code, error.http_status) == (f"provider.{code}", status)
    assert (error.retry_after_ms, error.provider_request_id) == (250, "req_1")


@pytest.mark.parametrize(
    ("status", "headers", "told", "kind", "retryable", "wait"),
    [
        (429, {"retry-after": "0.5"}, {}, "rate_limited", True, 500),
        (429, {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, {}, "rate_limited", True, 0),
        (429, {}, {"message": "Please try again in 20ms"}, "rate_limited", True, 20),
        (429, {}, {"code": "insufficient_quota"}, "quota_exhausted", False, None),
        (503, {"x-should-retry": "false"}, {}, "overloaded", False, None),
        (400, {"x-should-retry": "true"}, {}, "request_rejected", True, None),
    ],
    ids=["e86-seconds", "e86-date", "e86-words", "e87", "e89-no", "e89-yes"],
)
async def test_what_the_backend_says_of_trying_again_is_believed(
    backend: Backend,
    status: int,
    headers: dict[str, str],
    told: dict[str, str],
    kind: str,
    retryable: bool,
    wait: int | None,
) -> None:
    raw = json.dumps({"error": {"message": "no", "type": "x", "code": None, **told}}).encode()
    backend.answer(raw, status=f"{status} X", headers=[*JSON_HEAD, *headers.items()])
    error = (await ask(backend)).error
    assert (error.code, error.retryable, error.retry_after_ms) == (f"provider.{kind}", retryable, wait)


@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_e90_a_connection_cut_in_a_frame_leaves_truncated_calls(backend: Backend, end: End) -> None:
    backend.answer(CREATED + call("a", "{}") + added(function("b"), 1), words("never")[:30], end=end)
    heard = await ask(backend)
    assert (heard.error.code, heard.error.partial) == ("provider.stream_truncated", True)
    assert heard.made == [("a", "bash", "{}", "ok"), ("b", "bash", "{}", "truncated")]


async def test_e91_leaving_during_a_call_closes_the_connection(backend: Backend) -> None:
    backend.answer(CREATED + added(function("a")) + arguments('{"a"'), end="hang")
    provider = provider_of(backend)
    heard: list[object] = []
    async with aclosing(provider.stream(request(said("go")), attempt=1)) as stream:
        async for one in stream:
            heard.append(one)
            if isinstance(one, ToolCallDelta):
                break
    await asyncio.wait_for(backend.left.wait(), 30)
    assert not any(isinstance(one, ToolCallEnd) for one in heard)
    await provider.close()


async def test_silence_ends_by_the_idle_limit(backend: Backend) -> None:
    backend.answer(CREATED + words("a"), end="hang")
    heard = await ask(backend, patience=Patience(idle=0.1))
    assert (heard.error.code, heard.error.partial) == ("provider.stream_idle", True)


async def test_e92_a_redirect_is_not_followed(backend: Backend) -> None:
    elsewhere = await Backend().start()
    backend.answer(b"", status="307 X", headers=[("location", elsewhere.url)])
    error = (await ask(backend)).error
    await elsewhere.stop()
    assert (error.code, elsewhere.asked) == ("provider.endpoint_not_found", [])


async def test_e93_a_compressed_stream_is_read(backend: Backend) -> None:
    headers = [("content-type", "text/event-stream"), ("content-encoding", "gzip")]
    backend.answer(gzip.compress(CREATED + words("a") + ended()), headers=headers)
    assert (await ask(backend)).text == "a"


@pytest.mark.parametrize("shape", [KEY, f"Bearer {KEY}"])
async def test_e94_the_key_is_in_nothing_that_is_told(backend: Backend, shape: str) -> None:
    for wire in (
        failed(shape, f"bad {shape}"),
        flat(shape, shape),
        b"event: error\ndata: " + shape.encode() + b"\n\n",
    ):
        assert KEY not in hear(CREATED, wire).error.model_dump_json()
    item = thought(f"I saw {KEY}")
    frames = [
        words(KEY[:5], KEY[5:]),
        event("new", key=KEY),
        ended("completed", item, function("a", {"k": KEY})),
    ]
    backend.answer(CREATED, *frames)
    heard: Heard = await ask(backend)
    assert all(KEY not in one.model_dump_json() for one in heard.events)
    assert KEY[:5] + KEY[5:] not in "".join(heard.deltas)
