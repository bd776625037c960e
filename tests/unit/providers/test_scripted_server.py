"""The stand-in backend: its wire, byte for byte where clients are strict, and how it counts attempts."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
import uvicorn

from providers.script import parse_script
from providers.scripted_server import app

SCRIPT = """
[[scenarios]]
models = ["m2", "m1"]
when = "call"
[[scenarios.turns]]
thinking = "hm"
text = "I look"
delta_chars = 4
usage = { input = 5, cache_read = 2, output = 3 }
tool_calls = [{ id = "a", name = "bash", arguments = { x = 1 } }, { id = "b", name = "bash" }]
[[scenarios.turns]]
text = "{last_result}/{input}"

[[scenarios]]
when = "fault"
[[scenarios.turns]]
text = "fine"
faults = [
  { fault = "error:429", attempt = 1, retry_after_ms = 20 },
  { fault = "cut", attempt = 2, after_deltas = 1 },
  { fault = "error:503", attempt = 3, after_deltas = 1 },
]
"""


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    config = uvicorn.Config(app(parse_script(SCRIPT)), port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}/v1") as client:
        yield client
    server.should_exit = True
    await serving


def ask(text: str, **fields: Any) -> dict[str, Any]:
    return {"model": "m1", "messages": [{"role": "user", "content": text}], "stream": True, **fields}


def frames(raw: bytes) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in raw.decode().split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


async def test_a_stream_is_shaped_as_strict_clients_need_it(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/chat/completions", json=ask("call", stream_options={"include_usage": True}))
    assert answer.headers["content-type"] == "text/event-stream"
    *chunks, usage, done = frames(answer.content)
    assert done == "[DONE]"
    assert len({(one["id"], one["created"], one["model"], one["object"]) for one in [*chunks, usage]}) == 1
    assert all(one["usage"] is None for one in chunks)
    assert (usage["choices"], usage["usage"]["prompt_tokens"], usage["usage"]["total_tokens"]) == ([], 7, 10)
    deltas = [one["choices"][0]["delta"] for one in chunks]
    begun = {"type": "function", "function": {"name": "bash", "arguments": ""}}
    assert deltas == [
        {"role": "assistant", "content": None, "reasoning_content": "hm"},
        {"content": "I lo"},
        {"content": "ok"},
        {"tool_calls": [{"index": 0, "id": "a", **begun}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"x"'}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": ":1}"}}]},
        {"tool_calls": [{"index": 1, "id": "b", **begun}]},
        {"tool_calls": [{"index": 1, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert [one["choices"][0]["finish_reason"] for one in chunks] == [None] * 8 + ["tool_calls"]


async def test_usage_is_only_sent_where_it_was_asked_for(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/chat/completions", json=ask("call"))
    assert all("usage" not in one for one in frames(answer.content) if one != "[DONE]")


async def test_the_answer_without_a_stream_is_the_same(client: httpx2.AsyncClient) -> None:
    answer = (await client.post("/chat/completions", json=ask("call", stream=False))).json()
    choice = answer["choices"][0]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", "I look")
    assert choice["message"]["reasoning_content"] == "hm"
    calls = [(one["id"], one["function"]["arguments"]) for one in choice["message"]["tool_calls"]]
    assert calls == [("a", '{"x":1}'), ("b", "{}")]
    assert answer["usage"]["prompt_tokens_details"]["cached_tokens"] == 2


async def test_the_turn_and_the_templates_follow_the_messages(client: httpx2.AsyncClient) -> None:
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": [{"type": "text", "text": "call"}]},
        {"role": "assistant", "content": None, "tool_calls": []},
        {"role": "tool", "tool_call_id": "a", "content": "out"},
        {"role": "user", "content": "more"},
    ]
    answer = await client.post("/chat/completions", json=ask("", messages=messages, stream=False))
    assert answer.json()["choices"][0]["message"]["content"] == "out/more"


@pytest.mark.parametrize("told", [True, False])
async def test_faults_follow_the_attempt(client: httpx2.AsyncClient, told: bool) -> None:
    async def attempt(number: int) -> httpx2.Response:
        headers = {"x-stainless-retry-count": str(number - 1)} if told else {}
        return await client.post("/chat/completions", json=ask("fault"), headers=headers)

    limited = await attempt(1)
    assert (limited.status_code, limited.headers["retry-after-ms"]) == (429, "20")
    assert limited.json()["error"]["type"] == "rate_limit_error"
    with pytest.raises(httpx2.RemoteProtocolError):
        await attempt(2)
    *_, failed = frames((await attempt(3)).content)
    assert failed["error"]["code"] == 503
    *_, done = frames((await attempt(4)).content)
    assert done == "[DONE]"


@pytest.mark.parametrize("body", [b"{", b"[]", b"{}", b'{"messages": 1}'])
async def test_a_body_that_is_no_request_is_refused(client: httpx2.AsyncClient, body: bytes) -> None:
    answer = await client.post("/chat/completions", content=body)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


async def test_what_no_scenario_fits_is_refused(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/chat/completions", json=ask("nothing"))
    assert answer.status_code == 400
    assert "no turn 0" in answer.json()["error"]["message"]


async def test_the_models_of_the_script_are_listed(client: httpx2.AsyncClient) -> None:
    assert [one["id"] for one in (await client.get("/models")).json()["data"]] == ["m1", "m2"]
