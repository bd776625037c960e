"""Broken connections, refusals and silence: each an error event of its class, none an exception."""

import asyncio
import gzip
import json
import time
import zlib
from collections.abc import Callable
from contextlib import aclosing

import pytest

from protocol.errors import NotFound
from protocol.model import Heartbeat, StreamError, ToolCallDelta, ToolCallEnd
from providers.exchange import Patience
from providers.openai_compatible.dialect import ChatCompletions
from providers.prices import Prices
from providers.upstream import Upstream
from tests.conformance.provider_suite import request, said
from tests.unit.providers.chat import (
    DONE,
    KEY,
    Heard,
    ask,
    call,
    chunk,
    entry_of,
    frame,
    hear,
    provider_of,
)
from tests.unit.providers.loopback import Backend, End

JSON_HEAD = (("content-type", "application/json"),)


def refusal(message: str = "no", **fields: object) -> bytes:
    return json.dumps({"error": {"message": message, **fields}}).encode()


async def refused(backend: Backend, status: int, body: bytes = b"", *headers: tuple[str, str]) -> StreamError:
    backend.answer(body, status=f"{status} X", headers=[*JSON_HEAD, *headers])
    return (await ask(backend)).error


async def test_e80_comments_are_heartbeats(backend: Backend) -> None:
    heard = await hear(
        backend, b": ping\n\n", b":\n", b"\n\n", b"data\n\n", chunk(content="a"), chunk("stop"), DONE
    )
    assert [event for event in heard.events if isinstance(event, Heartbeat)] == [Heartbeat(), Heartbeat()]
    assert heard.text == "a"


async def test_e80_silence_ends_by_the_idle_limit(backend: Backend) -> None:
    backend.answer(chunk(content="a"), end="hang")
    heard = await ask(backend, patience=Patience(idle=0.1))
    assert (heard.error.code, heard.error.message) == ("provider.stream_idle", "the backend fell silent")
    assert heard.error.partial
    await asyncio.wait_for(backend.left.wait(), 30)


async def test_e80_signs_of_life_do_not_hold_the_progress_limit(backend: Backend) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + chunk(content="a"))
        try:
            while True:
                writer.write(b": ping\n\n")
                await writer.drain()
                await asyncio.sleep(0.02)
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    heard = await ask(backend, base_url=url, patience=Patience(idle=5, progress=0.3))
    server.close()
    assert heard.error.message == "the backend sent signs of life but no content"
    assert sum(isinstance(event, Heartbeat) for event in heard.events) > 3


async def test_the_time_limit_of_the_entry_ends_a_call(backend: Backend) -> None:
    backend.answer(silent=True)
    heard = await ask(backend, timeout_ms=100)
    assert (heard.error.code, heard.error.retryable) == ("provider.timeout", True)


@pytest.mark.parametrize("event", [b"event: error\n", b""])
async def test_e81_an_error_as_the_first_event_is_retryable_and_delivered_nothing(
    backend: Backend, event: bytes
) -> None:
    body = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    heard = await hear(backend, event + frame(body))
    assert (heard.error.code, heard.error.retryable) == ("provider.overloaded", True)
    assert (heard.error.partial, heard.error.message) == (False, "busy")


async def test_e82_an_error_after_content_is_partial(backend: Backend) -> None:
    heard = await hear(
        backend, chunk(content="a"), b"event: error\n" + frame({"error": {"type": "overloaded_error"}})
    )
    assert (heard.error.code, heard.error.partial, heard.text) == ("provider.overloaded", True, "a")


async def test_an_error_event_in_plain_words_is_told(backend: Backend) -> None:
    heard = await hear(backend, b"event: error\ndata: out of memory\n\n")
    assert (heard.error.code, heard.error.message) == ("provider.failed", "out of memory")


async def test_e83_an_error_body_under_status_200_is_an_error_by_its_body(backend: Backend) -> None:
    backend.answer(refusal(type="insufficient_quota", code="insufficient_quota"), headers=JSON_HEAD)
    heard = await ask(backend)
    assert (heard.error.code, heard.error.retryable) == ("provider.quota_exhausted", False)


async def test_a_whole_answer_where_a_stream_was_asked_for_is_read(backend: Backend) -> None:
    message = {"role": "assistant", "content": "hi", "tool_calls": [
        {"id": "a", "type": "function", "function": {"name": "bash", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "bash", "arguments": "{}"}},
    ]}  # fmt: skip
    answer = {"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]}
    backend.answer(json.dumps(answer).encode(), headers=JSON_HEAD)
    heard = await ask(backend)
    assert (heard.text, [one[0] for one in heard.made]) == ("hi", ["a", "b"])


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/json", "text/event-stream"])
async def test_e84_a_page_of_somebody_else_is_a_protocol_violation(backend: Backend, kind: str) -> None:
    backend.answer(b"<html>log in</html>", headers=[("content-type", kind)])
    heard = await ask(backend)
    assert heard.error.code in ("provider.protocol_violation", "provider.stream_truncated")
    assert heard.error.retryable


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (400, refusal(), "provider.request_rejected", False),
        (401, b"", "provider.unauthorized", False),
        (402, b"", "provider.quota_exhausted", False),
        (403, b"nope", "provider.forbidden", False),
        (404, refusal(code="model_not_found"), "provider.not_found", False),
        (404, b"<html>", "provider.endpoint_not_found", False),
        (405, b"", "provider.endpoint_not_found", False),
        (408, b"", "provider.timeout", True),
        (409, b"", "provider.conflict", True),
        (413, b"", "provider.payload_too_large", False),
        (418, b"", "provider.request_rejected", False),
        (422, b'{"detail": [{"loc": ["body"]}]}', "provider.request_rejected", False),
        (425, b"", "provider.conflict", True),
        (429, refusal(type="requests", code="rate_limit_exceeded"), "provider.rate_limited", True),
        (500, refusal(type="server_error"), "provider.failed", True),
        (502, b"<html>", "provider.failed", True),
        (503, refusal(type="server_error"), "provider.overloaded", True),
        (504, b"", "provider.failed", True),
        (400, refusal(code="context_length_exceeded"), "provider.context_overflow", False),
        (400, refusal("This model's maximum context length is 9"), "provider.context_overflow", False),
        (400, refusal("prompt is too long: 9 tokens"), "provider.context_overflow", False),
        (400, refusal(code="content_policy_violation"), "provider.content_refused", False),
        (400, b'[{"error": {"code": 429, "message": "x"}}]', "provider.request_rejected", False),
    ],
)
async def test_e85_a_status_has_its_class_whatever_the_body(
    backend: Backend, status: int, body: bytes, code: str, retryable: bool
) -> None:
    error = await refused(backend, status, body)
    assert (error.code, error.retryable, error.http_status) == (code, retryable, status)
    assert error.message


@pytest.mark.parametrize(
    ("headers", "message", "milliseconds"),
    [
        ([("retry-after", "2")], "", 2000),
        ([("retry-after", "0.5")], "", 500),
        ([("retry-after", "-3")], "", 0),
        ([("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], "", 0),
        ([("retry-after", "9"), ("retry-after-ms", "250")], "", 250),
        ([("retry-after", "soon")], "Please try again in 1.3s.", 1300),
        ([], "try again in 20ms", 20),
        ([("retry-after", "nan")], "", None),
        ([("retry-after", "1e300")], "", 604_800_000),
        ([], "later", None),
    ],
)
async def test_e86_the_hint_of_a_rate_limit_is_read_in_order(
    backend: Backend, headers: list[tuple[str, str]], message: str, milliseconds: int | None
) -> None:
    error = await refused(backend, 429, refusal(message), *headers)
    assert (error.code, error.retry_after_ms) == ("provider.rate_limited", milliseconds)


async def test_e87_a_spent_quota_is_not_a_rate_limit(backend: Backend) -> None:
    error = await refused(backend, 429, refusal(type="insufficient_quota"))
    assert (error.code, error.retryable) == ("provider.quota_exhausted", False)


async def test_e88_529_is_overloaded(backend: Backend) -> None:
    error = await refused(backend, 529, b"")
    assert (error.code, error.retryable) == ("provider.overloaded", True)


async def test_e89_the_vendor_decides_whether_to_retry(backend: Backend) -> None:
    assert not (await refused(backend, 503, b"", ("x-should-retry", "false"))).retryable
    assert (await refused(backend, 400, b"", ("x-should-retry", "true"))).retryable


@pytest.mark.parametrize("end", ["cut", "reset"])
async def test_e90_a_connection_cut_in_a_frame_leaves_truncated_calls(backend: Backend, end: End) -> None:
    last = chunk(content="never seen")
    backend.answer(call(0, id="a", name="bash", arguments='{"a":1}'), last[:20], end=end)
    heard = await ask(backend)
    assert (heard.error.code, heard.error.partial) == ("provider.stream_truncated", True)
    assert heard.made == [("a", "bash", "{}", "truncated")]


async def test_e91_leaving_during_a_tool_call_closes_the_connection(backend: Backend) -> None:
    backend.answer(call(0, id="a", name="bash", arguments='{"a"'), end="hang")
    provider = provider_of(backend)
    heard: list[object] = []

    async def read() -> None:
        async with aclosing(provider.stream(request(said("go")), attempt=1)) as stream:
            async for event in stream:
                heard.append(event)
                if isinstance(event, ToolCallDelta):
                    reached.set()

    reached = asyncio.Event()
    reader = asyncio.create_task(read())
    await asyncio.wait_for(reached.wait(), 30)
    began = time.monotonic()
    reader.cancel()
    await asyncio.wait({reader})
    await asyncio.wait_for(backend.left.wait(), 30)
    assert time.monotonic() - began < 1
    assert not any(isinstance(event, ToolCallEnd) for event in heard)
    await provider.close()


async def test_e91_leaving_before_the_answer_began_closes_the_connection(backend: Backend) -> None:
    backend.answer(silent=True)
    provider = provider_of(backend)

    async def read() -> None:
        async for _ in provider.stream(request(said("go")), attempt=1):
            pass

    reader = asyncio.create_task(read())
    await asyncio.wait_for(backend.hanging.wait(), 30)
    reader.cancel()
    await asyncio.wait({reader})
    await asyncio.wait_for(backend.left.wait(), 30)
    await provider.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_e92_a_redirect_is_not_followed(backend: Backend, status: int) -> None:
    elsewhere = await Backend().start()
    error = await refused(backend, status, b"", ("location", elsewhere.url))
    await elsewhere.stop()
    assert (error.code, error.retryable) == ("provider.endpoint_not_found", False)
    assert elsewhere.asked == []


async def test_e93_a_compressed_stream_is_read_as_it_comes(backend: Backend) -> None:
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(chunk(content="early")) + packer.flush(zlib.Z_SYNC_FLUSH)
    backend.answer(first, headers=[("content-encoding", "gzip")], end="hang")
    provider = provider_of(backend)
    stream = provider.stream(request(said("go")), attempt=1)
    kinds = [(await asyncio.wait_for(anext(stream), 30)).type for _ in range(3)]
    assert kinds == ["message_start", "text_start", "text_delta"]
    await stream.aclose()
    await provider.close()
    backend.answer(gzip.compress(chunk(content="a") + chunk("stop")), headers=[("content-encoding", "gzip")])
    assert (await ask(backend)).text == "a"
    backend.answer(b"not gzip at all", headers=[("content-encoding", "gzip")])
    assert (await ask(backend)).error.code == "provider.protocol_violation"


@pytest.mark.parametrize("shape", [KEY, f"Bearer {KEY}", f"authorization: bearer {KEY}!"])
async def test_e94_a_credential_in_an_error_is_scrubbed(backend: Backend, shape: str) -> None:
    error = await refused(
        backend, 401, refusal(f"bad {shape}", code=shape, type=shape), ("x-request-id", KEY)
    )
    assert KEY not in error.model_dump_json()
    streamed = await hear(backend, chunk(content="a"), frame({"error": {"message": shape, "code": shape}}))
    assert KEY not in streamed.error.model_dump_json()


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        ({"code": 429, "message": "slow"}, "provider.rate_limited", 429),
        ({"code": "429", "message": "slow"}, "provider.rate_limited", 429),
        ({"code": 502, "message": "x", "metadata": {}}, "provider.failed", 502),
        ({"code": "context_length_exceeded"}, "provider.context_overflow", None),
        ("plain words", "provider.failed", None),
        ({"message": None}, "provider.failed", None),
    ],
)
async def test_e95_an_error_object_in_the_stream_ends_it(
    backend: Backend, error: object, code: str, status: int | None
) -> None:
    heard = await hear(backend, frame({"error": error}), chunk(content="late"))
    assert (heard.error.code, heard.error.http_status) == (code, status)
    with_choices = await hear(backend, frame({"error": error, "choices": [{"finish_reason": "error"}]}))
    assert with_choices.error.code == code


async def test_a_finish_reason_of_error_is_an_error(backend: Backend) -> None:
    heard = await hear(backend, chunk(content="a"), chunk("error"), DONE)
    assert (heard.error.code, heard.error.partial) == ("provider.failed", True)


@pytest.mark.parametrize("data", [b"error: boom", b"{", b"[1]", b"1", b'"x"', b"[" * 100_000])
async def test_e96_a_frame_that_is_not_an_object_is_a_violation_with_its_digest(
    backend: Backend, data: bytes
) -> None:
    heard = await hear(backend, chunk(content="a"), b"data: " + data + b"\n\n", chunk("stop"))
    assert heard.error.code == "provider.protocol_violation"
    assert "sha256:" in heard.error.message


async def test_an_unterminated_last_frame_counts_if_it_can_be_read(backend: Backend) -> None:
    heard = await hear(backend, chunk(content="a"), chunk("stop")[:-2])
    assert heard.finish.reason == "stop"
    cut = await hear(backend, chunk(content="a"), chunk("stop")[:-9])
    assert cut.error.code == "provider.stream_truncated"


async def test_a_backend_that_is_not_there_is_a_failed_connection(backend: Backend) -> None:
    heard = await ask(backend, base_url="http://127.0.0.1:1/v1")
    assert (heard.error.code, heard.error.retryable) == ("provider.connection_failed", True)
    assert heard.error.partial is False


async def test_a_credential_that_cannot_be_resolved_is_no_request(backend: Backend) -> None:
    def key() -> str:
        raise NotFound("auth.secret_missing", "the variable KEY is not set")

    provider = _asking_with(backend, key)
    heard = Heard([event async for event in provider.stream(request(said("go")), attempt=1)])
    assert (heard.error.code, heard.error.retryable) == ("provider.unauthorized", False)
    assert "KEY is not set" in heard.error.message
    assert backend.asked == []


@pytest.mark.parametrize("bad", ["", "  ", "a\nb", "ключ"])
async def test_a_credential_that_no_header_can_carry_is_no_request(backend: Backend, bad: str) -> None:
    provider = _asking_with(backend, lambda: bad)
    heard = Heard([event async for event in provider.stream(request(said("go")), attempt=1)])
    assert heard.error.code == "provider.unauthorized"
    assert backend.asked == []


def _asking_with(backend: Backend, key: Callable[[], str]) -> Upstream:
    entry = entry_of(backend)
    return Upstream(ChatCompletions(entry, place="providers.p", prices=Prices({})), entry, key)
