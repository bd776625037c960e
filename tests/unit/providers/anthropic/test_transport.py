"""What holds for every backend holds for one that speaks Messages too."""

import asyncio
import gzip
import json
from contextlib import aclosing
from pathlib import Path

import pytest

from protocol.config import Config
from protocol.errors import InvalidRequest
from protocol.model import ToolCallDelta
from protocol.noun import JSON, JSONObject
from protocol.strict import validate
from providers.registry import Registry
from tests.conformance.provider_suite import request, said
from tests.unit.providers.anthropic.wire import MODEL, ask, begin, call, closed, ended, provider_of, text
from tests.unit.providers.loopback import Backend

ERROR = json.dumps({"type": "error", "error": {"type": "rate_limit_error", "message": "slow down"}}).encode()


@pytest.mark.parametrize(
    ("hint", "wait"),
    [
        ([("retry-after", "2")], 2000),
        ([("retry-after", "0.5")], 500),
        ([("retry-after", "2"), ("retry-after-ms", "70")], 70),
        ([("retry-after", "-1")], 0),
        ([("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT")], 0),
    ],
)
async def test_e86_the_wait_is_what_the_backend_asks_for(
    backend: Backend, hint: list[tuple[str, str]], wait: int
) -> None:
    backend.answer(ERROR, status="429 no", headers=[("content-type", "application/json"), *hint])
    assert (await ask(backend)).error.retry_after_ms == wait


@pytest.mark.parametrize(("status", "hint", "again"), [(503, "false", False), (400, "true", True)])
async def test_e89_the_backend_knows_whether_to_ask_again(
    backend: Backend, status: int, hint: str, again: bool
) -> None:
    backend.answer(b"", status=f"{status} no", headers=[("x-should-retry", hint)])
    assert (await ask(backend)).error.retryable is again


async def test_e91_leaving_in_the_middle_of_a_call_closes_the_connection(backend: Backend) -> None:
    backend.answer(begin() + call('{"a": ').removesuffix(closed()), end="hang")
    provider = provider_of(backend)
    async with aclosing(provider.stream(request(said("go"), model=MODEL), attempt=1)) as stream:
        async for event in stream:
            if isinstance(event, ToolCallDelta):
                break
    await asyncio.wait_for(backend.left.wait(), 10)
    await provider.close()


async def test_e92_a_redirect_is_never_followed(backend: Backend) -> None:
    backend.answer(b"", status="307 there", headers=[("location", "http://127.0.0.1:1/")])
    heard = await ask(backend)
    assert (heard.error.code, len(backend.asked)) == ("provider.endpoint_not_found", 1)


async def test_e93_a_compressed_stream_is_read(backend: Backend) -> None:
    packed = gzip.compress(begin() + text("a") + ended())
    headers = [("content-type", "text/event-stream"), ("content-encoding", "gzip")]
    backend.answer(packed[:20], packed[20:], headers=headers)
    assert (await ask(backend)).text == "a"


def load(folder: Path, **change: JSON) -> Registry:
    entry: JSONObject = {
        "protocol": "anthropic",
        "baseURL": "https://api.example",
        "apiKeyRef": {"kind": "env", "name": "KEY"},
        "models": ["claude-opus-5"],
    }
    return Registry(validate(Config, {"providers": {"a": entry | change}}), lambda ref: "k", folder)


def test_an_entry_of_this_protocol_is_served(tmp_path: Path) -> None:
    (model,) = load(tmp_path).models()
    capabilities = model["capabilities"]
    assert isinstance(capabilities, dict)
    assert (model["id"], capabilities["reasoning"]) == ("a/claude-opus-5", "preferred")


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"apiShape": "responses"}, "providers.a.apiShape"),
        ({"defaultParams": {"max_tokens": 1}}, "providers.a.defaultParams.max_tokens"),
    ],
)
def test_an_entry_that_cannot_be_spoken_to_is_refused(tmp_path: Path, change: JSONObject, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        load(tmp_path, **change)
    assert refused.value.param == param
