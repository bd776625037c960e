"""Words for the tests of generateContent: frames to answer with, and ears for what comes of them."""

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from protocol.block import (
    Block,
    Provenance,
    ResponseBlock,
    TextPart,
    ThinkingBlock,
    ToolCallBlock,
    ToolResultBlock,
)
from protocol.config import ProviderEntry
from protocol.digest import digest
from protocol.ids import SessionId, fresh
from protocol.model import (
    Citation,
    Media,
    ModelEvent,
    ModelRequest,
    ProviderRaw,
    ReasoningEnd,
    ServerToolEnd,
    TextEnd,
    ToolCallEnd,
)
from protocol.sse import Parser
from providers.exchange import Patience
from providers.gemini.dialect import Gemini
from providers.gemini.params import DefaultParams
from providers.gemini.request import Writing, body_of
from providers.gemini.stream import GeminiAnswer
from providers.prices import Prices
from providers.refusals import Scrubber
from providers.upstream import Upstream
from tests.conformance.provider_suite import AT, block_id, request, said
from tests.unit.providers.chat import KEY, REF, Heard, frame, told
from tests.unit.providers.loopback import Asked, Backend, End

USAGE = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}
WHERE = Provenance(
    dialect="gemini", vendor="127.0.0.1", account_scope=digest(REF), model_family="gemini-3-pro"
)
ASKED = request(said("go"), model="gemini-3-pro")


def chunk(*parts: Any, finish: str | None = None, usage: object = None, **candidate: Any) -> bytes:
    """One GenerateContentResponse; a part that is text stands for itself."""
    listed = [{"text": part} if isinstance(part, str) else part for part in parts]
    content = {"content": {"role": "model", "parts": listed}} if parts else {}
    reason = {} if finish is None else {"finishReason": finish}
    answer = {"candidates": [{**content, **reason, "index": 0, **candidate}], "responseId": "r1"}
    counted = {} if usage is None else {"usageMetadata": usage}
    return frame(answer | {"modelVersion": "gemini-3-pro-001"} | counted)


def call(name: str = "bash", signature: str | None = None, **fields: Any) -> dict[str, Any]:
    part: dict[str, Any] = {"functionCall": {"name": name, **fields} if name else fields}
    return part if signature is None else {**part, "thoughtSignature": signature}


def piece(path: str, more: bool = False, **value: Any) -> dict[str, Any]:
    return {"jsonPath": path, **value, **({"willContinue": True} if more else {})}


STOP = chunk(finish="STOP")


class Ears(Heard):
    """What of a stream only this vendor tells."""

    def of(self, kind: type[ModelEvent]) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def cited(self) -> list[tuple[int, str, str | None, str | None]]:
        return [(one.block, one.kind, one.uri, one.title) for one in self.of(Citation)]

    @property
    def hosted(self) -> list[tuple[str, str, str]]:
        return [(one.call_id, one.name, one.status) for one in self.of(ServerToolEnd)]

    @property
    def media(self) -> list[tuple[str, str]]:
        return [(one.media_type, one.data) for one in self.of(Media)]

    @property
    def raw(self) -> list[object]:
        return [one.payload for one in self.of(ProviderRaw)]


def entry_of(backend: Backend, **fields: Any) -> ProviderEntry:
    known: dict[str, Any] = {
        "base_url": backend.url.removesuffix("/v1"),
        "api_key_ref": REF,
        "models": ("gemini-3-pro",),
        "pass_reasoning_to_loop": True,
    }
    return ProviderEntry(protocol="gemini", **(known | fields))


def provider_of(backend: Backend, patience: Patience | None = None, **fields: Any) -> Upstream:
    entry = entry_of(backend, **fields)
    dialect = Gemini(entry, place="providers.g", prices=Prices({}))
    return Upstream(dialect, entry, lambda: KEY, patience)


async def ask(
    backend: Backend, asked: ModelRequest = ASKED, *, patience: Patience | None = None, **fields: Any
) -> Ears:
    provider = provider_of(backend, patience, **fields)
    try:
        return Ears([event async for event in provider.stream(asked, attempt=1)])
    finally:
        await provider.close()


async def hear(backend: Backend, *frames: bytes, end: End = "close", **fields: Any) -> Ears:
    """What the frames mean: over HTTP, byte by byte, and cut at random with other line ends."""
    wire = b"".join(frames)
    backend.answer(wire, end=end)
    heard = await ask(backend, **fields)
    shown = bool(fields.get("pass_reasoning_to_loop", True))
    if end == "close":
        for other in (wire, wire.replace(b"\n", b"\r\n"), wire.replace(b"\n", b"\r")):
            assert told(read(other, range(len(other)), shown=shown)) == told(heard.events)
            cuts = random.Random(len(other)).sample(range(len(other)), min(9, len(other)))
            assert told(read(other, sorted(cuts), shown=shown)) == told(heard.events)
    return heard


def answer_of(*, shown: bool = True) -> GeminiAnswer:
    return GeminiAnswer(
        body_of(ASKED, Writing(DefaultParams(), show_thoughts=shown), WHERE),
        provenance=WHERE,
        scrubber=Scrubber((KEY,)),
        cost=lambda usage: None,
        show_reasoning=shown,
    )


def read(wire: bytes, cuts: Sequence[int], *, shown: bool = True) -> list[ModelEvent]:
    """The same without HTTP, cut at these bytes."""
    answer, parser, out = answer_of(shown=shown), Parser(), list[ModelEvent]()
    edges = [0, *cuts, len(wire)]
    for start, end in pairwise(edges):
        for one in parser.feed(wire[start:end]):
            out += answer.take(one)
    return out if answer.over else out + answer.last(parser.end())


def whole(frames: Sequence[bytes]) -> list[ModelEvent]:
    """The same as one JSON body: a list, as the vendor answers without `alt=sse`."""
    return answer_of().whole([json.loads(one.removeprefix(b"data: ")) for one in frames])


def turn_of(heard: Heard, **results: str) -> list[Block]:
    """The blocks that a caller keeps of an answer, as the vendor wants them back, and results by call id."""
    common: dict[str, Any] = {"session_id": SessionId(fresh("sess_")), "created_at": AT}
    out: list[Block] = []
    for end in heard.events:
        own: dict[str, Any] = common | {"id": block_id(), "opaque": getattr(end, "opaque", ())}
        if isinstance(end, TextEnd):
            out.append(ResponseBlock(content=(TextPart(text=end.text),), **own))
        elif isinstance(end, ReasoningEnd | ServerToolEnd):
            text = end.text if isinstance(end, ReasoningEnd) else ""
            out.append(ThinkingBlock(content=(TextPart(text=text),), **own))
        elif isinstance(end, ToolCallEnd):
            called: dict[str, Any] = {
                name: getattr(end, name) for name in ("name", "arguments", "arguments_state")
            }
            out.append(
                ToolCallBlock(tool_call_id=end.call_id, arguments_raw=end.arguments_raw, **called, **own)
            )
    for end in heard.calls:
        text = TextPart(text=results.get(end.call_id, "ok"))
        out.append(ToolResultBlock(id=block_id(), tool_call_id=end.call_id, content=(text,), **common))
    return out


async def contents(backend: Backend, *blocks: Block, model: str = "gemini-3-pro") -> list[Any]:
    """What a history becomes."""
    return (await sent(backend, request(*blocks, instructions="", model=model))).body["contents"]


async def sent(backend: Backend, asked: ModelRequest = ASKED, **fields: Any) -> Asked:
    backend.answer(chunk("ok", finish="STOP"))
    heard = await ask(backend, asked, **fields)
    assert heard.text == "ok", heard.terminal
    return backend.asked[-1]
