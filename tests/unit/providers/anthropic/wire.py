"""Words for the tests of Messages: frames to answer with, and three ways to feed them."""

import json
import random
from collections.abc import Sequence
from typing import Any

from protocol.block import Opaque, Provenance
from protocol.config import ProviderEntry
from protocol.digest import digest
from protocol.model import ModelEvent, ModelRequest, ReasoningEnd
from protocol.sse import Parser
from providers.anthropic.dialect import Messages
from providers.anthropic.params import DefaultParams
from providers.anthropic.request import body_of
from providers.anthropic.stream import MessagesAnswer
from providers.exchange import Patience
from providers.prices import Prices
from providers.refusals import Scrubber
from providers.upstream import Upstream
from tests.conformance.provider_suite import request, said
from tests.unit.providers.chat import KEY, REF, Heard, told
from tests.unit.providers.loopback import Asked, Backend, End

MODEL = "claude-opus-4-6"
WHERE = Provenance(dialect="anthropic", vendor="127.0.0.1", account_scope=digest(REF), model_family=MODEL)
BODY = body_of(request(said("go"), model=MODEL), DefaultParams(), provenance=WHERE, shown=True)
USAGE = {"input_tokens": 7, "output_tokens": 1}


def frame(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": kind, **fields}).encode()
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def begin(usage: object = USAGE, **fields: Any) -> bytes:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m1-2026", "content": []}
    return frame("message_start", message={**message, "usage": usage, **fields})


def opened(index: int | None = 0, **block: Any) -> bytes:
    at = {} if index is None else {"index": index}
    return frame("content_block_start", **at, content_block=block)


def delta(index: int | None = 0, **fields: Any) -> bytes:
    at = {} if index is None else {"index": index}
    return frame("content_block_delta", **at, delta=fields)


def closed(index: int | None = 0) -> bytes:
    return frame("content_block_stop", **({} if index is None else {"index": index}))


def text(*pieces: str, index: int = 0) -> bytes:
    wire = [delta(index, type="text_delta", text=piece) for piece in pieces]
    return opened(index, type="text", text="") + b"".join(wire) + closed(index)


def call(*pieces: Any, index: int = 0, name: str = "bash", id: str = "toolu_1", input: Any = None) -> bytes:  # noqa: A002
    wire = [delta(index, type="input_json_delta", partial_json=piece) for piece in pieces]
    block = opened(index, type="tool_use", id=id, name=name, input={} if input is None else input)
    return block + b"".join(wire) + closed(index)


def thinking(*pieces: str, index: int = 0, signature: str | None = "sig==") -> bytes:
    wire = [delta(index, type="thinking_delta", thinking=piece) for piece in pieces]
    if signature is not None:
        wire.append(delta(index, type="signature_delta", signature=signature))
    return opened(index, type="thinking", thinking="", signature="") + b"".join(wire) + closed(index)


def ended(reason: str | None = "end_turn", usage: object = None, **fields: Any) -> bytes:
    counts = {"output_tokens": 3} if usage is None else usage
    inner = {"stop_reason": reason, "stop_sequence": None, **fields}
    return frame("message_delta", delta=inner, usage=counts) + frame("message_stop")


def entry_of(backend: Backend | None, **fields: Any) -> ProviderEntry:
    base = "http://127.0.0.1:1" if backend is None else backend.url.removesuffix("/v1")
    known: dict[str, Any] = {
        "base_url": base,
        "api_key_ref": REF,
        "models": (MODEL,),
        "pass_reasoning_to_loop": True,
    }
    return ProviderEntry(protocol="anthropic", **(known | fields))


def provider_of(backend: Backend, patience: Patience | None = None, **fields: Any) -> Upstream:
    entry = entry_of(backend, **fields)
    dialect = Messages(entry, place="providers.local", prices=Prices({}))
    return Upstream(dialect, entry, lambda: KEY, patience)


async def ask(
    backend: Backend, asked: ModelRequest | None = None, *, patience: Patience | None = None, **fields: Any
) -> Heard:
    provider = provider_of(backend, patience, **fields)
    try:
        asked = asked or request(said("go"), model=MODEL)
        return Heard([event async for event in provider.stream(asked, attempt=1)])
    finally:
        await provider.close()


async def sent(backend: Backend, asked: ModelRequest, **fields: Any) -> Asked:
    """The request as it arrived; the model says ok."""
    backend.answer(begin() + text("ok") + ended())
    heard = await ask(backend, asked, **fields)
    assert heard.text == "ok", heard.terminal
    return backend.asked[-1]


async def hear(backend: Backend, *frames: bytes, end: End = "close", **fields: Any) -> Heard:
    """What the frames mean: over HTTP, and the same again byte by byte, and in random pieces with CRLF."""
    wire = b"".join(frames)
    backend.answer(wire, end=end)
    heard = await ask(backend, **fields)
    if end == "close":
        shown = entry_of(backend, **fields).pass_reasoning_to_loop
        for other, pieces in ((wire, [1]), (wire.replace(b"\n", b"\r\n"), [3, 1, 17, 2, 40])):
            assert told(read(other, pieces, shown=shown)) == told(heard.events)
    return heard


def read(wire: bytes, pieces: Sequence[int], *, shown: bool = True) -> list[ModelEvent]:
    """The events of a wire that is split at random into pieces of such lengths."""
    answer, parser, drawn = answer_of(shown=shown), Parser(), random.Random(len(wire))
    out: list[ModelEvent] = []
    at = 0
    while at < len(wire):
        size = drawn.choice(pieces)
        for one in parser.feed(wire[at : at + size]):
            out += answer.take(one)
        at += size
    return out if answer.over else out + answer.last(parser.end())


def answer_of(*, shown: bool = True) -> MessagesAnswer:
    return MessagesAnswer(
        BODY, provenance=WHERE, scrubber=Scrubber((KEY,)), cost=lambda usage: None, show_reasoning=shown
    )


def reasons(heard: Heard) -> list[ReasoningEnd]:
    return [end for end in heard.ended if isinstance(end, ReasoningEnd)]


def opaque(**payload: Any) -> Opaque:
    return Opaque(provenance=WHERE, payload=payload)
