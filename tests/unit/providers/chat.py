"""Words for the tests of Chat Completions: frames to answer with, and ears for what comes of them."""

import json
import re
from collections.abc import Iterable
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
    Finish,
    ModelEvent,
    ModelRequest,
    Notice,
    ReasoningEnd,
    StreamError,
    TextDelta,
    TextEnd,
    ToolCallEnd,
    UsageSnapshot,
)
from protocol.secret import SecretRef
from protocol.sse import Parser
from providers.exchange import Patience
from providers.openai_compatible.dialect import ChatCompletions
from providers.openai_compatible.params import DefaultParams
from providers.openai_compatible.request import body_of
from providers.openai_compatible.stream import ChatAnswer
from providers.prices import Prices
from providers.refusals import Scrubber
from providers.upstream import Upstream
from tests.conformance.provider_suite import AT, StreamChecker, block_id, request, said
from tests.unit.providers.loopback import Backend, End

KEY = "KEY-test-0123456789"
REF = SecretRef(kind="env", name="KEY")
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
DONE = b"data: [DONE]\n\n"


def frame(value: object) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(finish: str | None = None, index: int = 0, usage: object = None, **delta: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return frame({"id": "c1", "created": 1, "model": "m1-2026", "choices": [choice], "usage": usage})


def counted(usage: object = None) -> bytes:
    return frame({"id": "c1", "choices": [], "usage": usage or USAGE})


def call(index: int | None = 0, **fields: Any) -> bytes:
    """One fragment of a tool call; `name` and `arguments` go into its function."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    entry = (
        fields | ({} if index is None else {"index": index}) | ({"function": function} if function else {})
    )
    return chunk(tool_calls=[entry])


def entry_of(backend: Backend, **fields: Any) -> ProviderEntry:
    known: dict[str, Any] = {
        "base_url": backend.url,
        "api_key_ref": REF,
        "models": ("m1",),
        "pass_reasoning_to_loop": True,
    }
    return ProviderEntry(protocol="openai-compatible", **(known | fields))


def provider_of(backend: Backend, patience: Patience | None = None, **fields: Any) -> Upstream:
    entry = entry_of(backend, **fields)
    dialect = ChatCompletions(entry, place="providers.local", prices=Prices({}))
    return Upstream(dialect, entry, lambda: KEY, patience)


class Heard(StreamChecker):
    """A checked stream and all of its events."""

    def __init__(self, events: Iterable[ModelEvent]) -> None:
        super().__init__()
        self.events = list(events)
        self.follow(self.events)

    @property
    def finish(self) -> Finish:
        assert isinstance(self.terminal, Finish), self.terminal
        return self.terminal

    @property
    def error(self) -> StreamError:
        assert isinstance(self.terminal, StreamError), self.terminal
        return self.terminal

    @property
    def notices(self) -> list[str]:
        return [event.code for event in self.events if isinstance(event, Notice)]

    @property
    def deltas(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, TextDelta)]

    @property
    def snapshots(self) -> list[UsageSnapshot]:
        return [event for event in self.events if isinstance(event, UsageSnapshot)]

    @property
    def made(self) -> list[tuple[str, str, str, str]]:
        """The calls as (id, name, arguments as JSON, state)."""
        return [(end.call_id, end.name, json.dumps(end.arguments), end.arguments_state) for end in self.calls]

    @property
    def first_call(self) -> ToolCallEnd:
        return self.calls[0]


async def ask(
    backend: Backend, asked: ModelRequest | None = None, *, patience: Patience | None = None, **fields: Any
) -> Heard:
    provider = provider_of(backend, patience, **fields)
    try:
        return Heard([event async for event in provider.stream(asked or request(said("go")), attempt=1)])
    finally:
        await provider.close()


async def hear(backend: Backend, *frames: bytes, end: End = "close", **fields: Any) -> Heard:
    """What the frames mean: over HTTP, and the same again one byte at a time, and with CRLF."""
    wire = b"".join(frames)
    backend.answer(wire, end=end)
    heard = await ask(backend, **fields)
    if end == "close":
        for other in (wire, wire.replace(b"\n", b"\r\n"), wire.replace(b"\n", b"\r")):
            again = read_bytewise(other, entry_of(backend, **fields))
            assert told(again) == told(heard.events)
    return heard


def read_bytewise(wire: bytes, entry: ProviderEntry) -> list[ModelEvent]:
    provenance = Provenance(dialect="chat", vendor="127.0.0.1", account_scope=digest(REF), model_family="m1")
    body = body_of(
        request(said("go")), DefaultParams(), token_field="max_completion_tokens", provenance=provenance
    )
    answer = ChatAnswer(
        body,
        provenance=provenance,
        scrubber=Scrubber((KEY,)),
        cost=lambda usage: None,
        show_reasoning=entry.pass_reasoning_to_loop,
        think_tags=entry.think_tags,
    )
    parser = Parser()
    out: list[ModelEvent] = []
    for byte in wire:
        for one in parser.feed(bytes([byte])):
            out += answer.take(one)
    return out if answer.over else out + answer.last(parser.end())


def turn_of(heard: Heard, **results: str) -> list[Block]:
    """The blocks that a caller keeps of an answer, and the results of its calls by their id."""
    common: dict[str, Any] = {"session_id": SessionId(fresh("sess_")), "created_at": AT}
    out: list[Block] = []
    for end in heard.ended:
        if isinstance(end, ToolCallEnd):
            out.append(
                ToolCallBlock(
                    id=block_id(),
                    tool_call_id=end.call_id,
                    name=end.name,
                    arguments=end.arguments,
                    arguments_state=end.arguments_state,
                    arguments_raw=end.arguments_raw,
                    **common,
                )
            )
        else:
            kind = ResponseBlock if isinstance(end, TextEnd) else ThinkingBlock
            opaque = end.opaque if isinstance(end, ReasoningEnd) else ()
            out.append(kind(id=block_id(), content=(TextPart(text=end.text),), opaque=opaque, **common))
    for end in heard.calls:
        text = results.get(end.call_id, "ok")
        out.append(
            ToolResultBlock(
                id=block_id(),
                tool_call_id=end.call_id,
                content=(TextPart(text=text),),
                **common,
            )
        )
    return out


def told(events: Iterable[ModelEvent]) -> list[str]:
    """The events as text, their synthetic ids made equal."""
    return [re.sub(r"call_[0-9a-f]{24}", "call_*", repr(event)) for event in events]
