"""The wire below the answer: redirects, compression, hints, silence, and a caller who leaves."""

import asyncio
import gzip
import json
import zlib
from contextlib import aclosing

import pytest

from protocol.model import ToolCallEnd
from providers.exchange import Patience
from tests.unit.providers.gemini.words import ASKED, STOP, ask, call, chunk, provider_of
from tests.unit.providers.loopback import Backend

GZIP = (("content-type", "text/event-stream"), ("content-encoding", "gzip"))


async def test_e80_silence_ends_by_the_idle_limit(backend: Backend) -> None:
    backend.answer(chunk("a"), end="hang")
    heard = await ask(backend, patience=Patience(idle=0.1))
    assert (heard.error.code, heard.error.partial) == ("provider.stream_idle", True)


@pytest.mark.parametrize(("hint", "status", "retryable"), [("false", 503, False), ("true", 400, True)])
async def test_e89_the_vendor_decides_whether_to_retry(
    backend: Backend, hint: str, status: int, retryable: bool
) -> None:
    backend.answer(b"", status=f"{status} X", headers=[("x-should-retry", hint)])
    assert (await ask(backend)).error.retryable == retryable


async def test_e91_leaving_while_arguments_come_closes_the_connection(backend: Backend) -> None:
    growing = call(
        willContinue=True, partialArgs=[{"jsonPath": "$.x", "stringValue": "a", "willContinue": True}]
    )
    backend.answer(chunk("a", growing), end="hang")
    provider = provider_of(backend)
    kinds: list[str] = []
    async with aclosing(provider.stream(ASKED, attempt=1)) as stream:
        async for event in stream:
            assert not isinstance(event, ToolCallEnd)
            kinds.append(event.type)
            if event.type == "tool_call_start":
                break
    await asyncio.wait_for(backend.left.wait(), 30)
    await provider.close()
    assert "finish" not in kinds


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_e92_a_redirect_is_not_followed(backend: Backend, status: int) -> None:
    elsewhere = await Backend().start()
    backend.answer(b"", status=f"{status} X", headers=[("location", elsewhere.url)])
    heard = await ask(backend)
    await elsewhere.stop()
    assert (heard.error.code, elsewhere.asked) == ("provider.endpoint_not_found", [])


async def test_e93_a_compressed_stream_is_read_as_it_comes(backend: Backend) -> None:
    packer = zlib.compressobj(wbits=31)
    first = packer.compress(chunk("early")) + packer.flush(zlib.Z_SYNC_FLUSH)
    backend.answer(first, headers=GZIP, end="hang")
    provider = provider_of(backend)
    stream = provider.stream(ASKED, attempt=1)
    kinds = [(await asyncio.wait_for(anext(stream), 30)).type for _ in range(3)]
    await stream.aclose()
    await provider.close()
    assert kinds == ["message_start", "text_start", "text_delta"]
    backend.answer(gzip.compress(chunk("a") + STOP), headers=GZIP)
    assert (await ask(backend)).text == "a"


async def test_a_body_that_nests_without_end_is_a_violation(backend: Backend) -> None:
    deep = json.dumps({"candidates": 0}).replace("0", "[" * 900 + "]" * 900).encode()
    backend.answer(deep, headers=[("content-type", "application/json")])
    assert (await ask(backend)).error.code == "provider.protocol_violation"
