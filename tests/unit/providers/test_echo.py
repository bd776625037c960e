"""SEC-03: a backend that echoes the credential that it was asked with: nobody reads it."""

import json

import pytest

from protocol.mask import MASK
from protocol.model import ReasoningEnd, RefusalDelta, TextEnd, ToolCallEnd
from tests.unit.providers.chat import DONE, KEY, ask, call, chunk, frame
from tests.unit.providers.loopback import Backend

HEADER = f"Authorization: Bearer {KEY}"


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 3, 7, 100])
async def test_in_what_a_model_says_and_thinks(backend: Backend, size: int) -> None:
    backend.answer(
        *(chunk(reasoning_content=piece) for piece in pieces(HEADER, size)),
        *(chunk(content=piece) for piece in pieces(f"{HEADER}, {KEY[:5]}", size)),
        chunk("stop"),
        DONE,
    )
    heard = await ask(backend)
    assert backend.asked[-1].headers["authorization"] == f"Bearer {KEY}"
    said = f"Authorization: Bearer {MASK}"
    assert "".join(heard.deltas) == f"{said}, {KEY[:5]}"
    assert [end.text for end in heard.events if isinstance(end, TextEnd)] == [f"{said}, {KEY[:5]}"]
    assert [end.text for end in heard.events if isinstance(end, ReasoningEnd)] == [said]
    assert not any(KEY in event.model_dump_json() for event in heard.events)


async def test_in_the_arguments_of_a_call(backend: Backend) -> None:
    arguments = json.dumps({"command": f"curl -H '{HEADER}'"})
    halves = pieces(arguments, len(arguments) // 2)
    backend.answer(
        call(id="call_1", name="bash", arguments=halves[0]),
        *(call(arguments=piece) for piece in halves[1:]),
        chunk("tool_calls"),
        DONE,
    )
    heard = await ask(backend)
    [end] = [event for event in heard.events if isinstance(event, ToolCallEnd)]
    assert end.arguments == {"command": f"curl -H 'Authorization: Bearer {MASK}'"}
    assert not any(KEY in event.model_dump_json() for event in heard.events)


async def test_in_a_refusal_and_in_an_error_inside_the_stream(backend: Backend) -> None:
    backend.answer(chunk(refusal=f"No, {KEY[:5]}"), chunk(refusal=KEY[5:]), chunk("stop"), DONE)
    heard = await ask(backend)
    assert "".join(one.text for one in heard.events if isinstance(one, RefusalDelta)) == f"No, {MASK}"
    backend.answer(frame({"error": {"message": HEADER, "type": KEY, "code": f"x-{KEY}"}}))
    heard = await ask(backend)
    assert KEY not in heard.error.model_dump_json()


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "500 Internal Server Error"])
async def test_in_an_error_body_and_its_headers(backend: Backend, status: str) -> None:
    body = json.dumps({"error": {"message": f"{HEADER} / {KEY.encode().hex()}", "code": KEY}}).encode()
    backend.answer(body, status=status, headers=[("content-type", "application/json"), ("x-request-id", KEY)])
    heard = await ask(backend)
    said = heard.error.model_dump_json()
    assert KEY not in said
    assert KEY.encode().hex() not in said
