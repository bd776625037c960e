"""Words for the tests of Responses: frames to answer with, and what comes of them however they are cut."""

import json
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from protocol.block import (
    Block,
    Opaque,
    Provenance,
    ResponseBlock,
    TextPart,
    ThinkingBlock,
    ToolCallBlock,
    ToolResultBlock,
)
from protocol.config import ProviderEntry
from protocol.digest import digest
from protocol.ids import fresh
from protocol.model import ModelEvent, ModelRequest, ServerToolEnd, TextEnd, ToolCallEnd
from protocol.noun import JSONObject
from protocol.sse import Parser
from providers.exchange import Patience
from providers.openai_responses.dialect import Responses
from providers.prices import Prices
from providers.refusals import Scrubber
from providers.upstream import Answer, Upstream
from tests.conformance.provider_suite import AT, request, said
from tests.unit.providers.chat import KEY, REF, Heard, told
from tests.unit.providers.loopback import Backend

USAGE = {
    "input_tokens": 7,
    "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
    "output_tokens": 3,
    "output_tokens_details": {"reasoning_tokens": 1},
    "total_tokens": 10,
}
WHERE = Provenance(dialect="responses", vendor="127.0.0.1", account_scope=digest(REF), model_family="m1")
MODEL: JSONObject = {"id": "resp_1", "object": "response", "created_at": 1, "model": "m1-2026"}


def event(kind: str, **fields: Any) -> bytes:
    data = json.dumps({"type": f"response.{kind}", "sequence_number": 0, **fields})
    return f"event: response.{kind}\ndata: {data}\n\n".encode()


def response(status: str, *output: Any, **fields: Any) -> dict[str, Any]:
    known = {"status": status, "output": list(output), "usage": USAGE, "error": None}
    return {**MODEL, **known, "incomplete_details": None, **fields}


CREATED = event("created", response=response("in_progress", usage=None))


def ended(status: str = "completed", *output: Any, **fields: Any) -> bytes:
    return event(status, response=response(status, *output, **fields))


def added(item: Any, at: int = 0) -> bytes:
    return event("output_item.added", output_index=at, item=item)


def done(item: Any, at: int = 0) -> bytes:
    return event("output_item.done", output_index=at, item=item)


def message(text: str = "", item_id: str = "msg_1", **fields: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}] if text else []
    return {
        "type": "message",
        "id": item_id,
        "role": "assistant",
        "status": "completed",
        "content": content,
        **fields,
    }


def thought(summary: str = "", item_id: str = "rs_1", **fields: Any) -> dict[str, Any]:
    parts = [{"type": "summary_text", "text": summary}] if summary else []
    return {
        "type": "reasoning",
        "id": item_id,
        "summary": parts,
        "encrypted_content": "gAAA" + item_id,
        **fields,
    }


def function(call_id: str = "a", arguments: Any = "", name: str = "bash", **fields: Any) -> dict[str, Any]:
    item = {"type": "function_call", "id": f"fc_{call_id}", "call_id": call_id, "name": name}
    return {**item, "arguments": arguments, "status": "completed", **fields}


def custom(call_id: str, text: str, **fields: Any) -> dict[str, Any]:
    item = {"type": "custom_tool_call", "id": f"ct_{call_id}", "call_id": call_id, "name": "patch"}
    return {**item, "input": text, **fields}


def about(item_id: str, at: int = 0, **fields: Any) -> dict[str, Any]:
    return {"item_id": item_id, "output_index": at, **fields}


def words(*pieces: str, item_id: str = "msg_1", at: int = 0, part: int = 0) -> bytes:
    where = about(item_id, at, content_index=part)
    return b"".join(event("output_text.delta", **where, delta=piece, logprobs=[]) for piece in pieces)


def arguments(*pieces: str, call_id: str = "a", at: int = 0) -> bytes:
    where = about(f"fc_{call_id}", at)
    return b"".join(event("function_call_arguments.delta", **where, delta=piece) for piece in pieces)


def call(call_id: str, *pieces: str, at: int = 0, **fields: Any) -> bytes:
    """A whole call as OpenAI streams it."""
    raw = "".join(pieces)
    return b"".join(
        (
            added(function(call_id, **fields) | {"status": "in_progress"}, at),
            arguments(*pieces, call_id=call_id, at=at),
            event("function_call_arguments.done", **about(f"fc_{call_id}", at), arguments=raw),
            done(function(call_id, raw, **fields), at),
        )
    )


def entry_of(url: str, **fields: Any) -> ProviderEntry:
    known: dict[str, Any] = {"base_url": url, "api_key_ref": REF, "models": ("m1",)}
    known |= {"pass_reasoning_to_loop": True, "api_shape": "responses"}
    return ProviderEntry(protocol="openai-compatible", **(known | fields))


def provider_of(backend: Backend, patience: Patience | None = None, **fields: Any) -> Upstream:
    entry = entry_of(backend.url, **fields)
    dialect = Responses(entry, place="providers.local", prices=Prices({}))
    return Upstream(dialect, entry, lambda: KEY, patience)


async def ask(
    backend: Backend, asked: ModelRequest | None = None, *, patience: Patience | None = None, **fields: Any
) -> Heard:
    provider = provider_of(backend, patience, **fields)
    try:
        return Heard([one async for one in provider.stream(asked or request(said("go")), attempt=1)])
    finally:
        await provider.close()


def answer_of(asked: ModelRequest | None = None, **fields: Any) -> Answer:
    dialect = Responses(entry_of("http://127.0.0.1/v1", **fields), place="p", prices=Prices({}))
    return dialect.write(asked or request(said("go")), KEY, 1, Scrubber((KEY,))).answer


def read(pieces: Sequence[bytes], asked: ModelRequest | None = None, **fields: Any) -> list[ModelEvent]:
    answer, parser = answer_of(asked, **fields), Parser()
    out = [event for piece in pieces for frame in parser.feed(piece) for event in answer.take(frame)]
    return out if answer.over else out + answer.last(parser.end())


def hear(*frames: bytes, **fields: Any) -> Heard:
    """What the frames mean: at once, byte by byte, and cut anywhere with other line ends."""
    wire = b"".join(frames)
    heard = Heard(read([wire], **fields))
    dice = random.Random(wire)
    for other in (wire, wire.replace(b"\n", b"\r\n"), wire.replace(b"\n", b"\r")):
        cuts = sorted({0, len(other), *(dice.randrange(len(other) + 1) for _ in range(9))})
        split = [other[start:end] for start, end in pairwise(cuts)]
        for pieces in ([other[at : at + 1] for at in range(len(other))], split):
            assert told(read(pieces, **fields)) == told(heard.events)
    return heard


def whole(body: dict[str, Any], **fields: Any) -> Heard:
    """The same for an answer that came as one JSON body."""
    return Heard(answer_of(**fields).whole(body))


def kept(heard: Heard, **results: str) -> list[Block]:
    """The blocks that a session keeps of an answer, and the results of its calls by their id."""
    ends = [one for one in heard.events if isinstance(one, ServerToolEnd) or one in heard.ended]
    out: list[Block] = []
    for end in sorted(ends, key=lambda one: getattr(one, "block", 0)):
        if isinstance(end, ToolCallEnd):
            state = {"arguments_state": end.arguments_state, "arguments_raw": end.arguments_raw}
            out.append(called(end.call_id, end.name, arguments=end.arguments, opaque=end.opaque, **state))
        elif isinstance(end, TextEnd):
            out.append(ResponseBlock(content=(TextPart(text=end.text),), opaque=end.opaque, **common()))
        else:
            out.append(thinking(*getattr(end, "opaque", ())))
    return out + [result(end.call_id, results.get(end.call_id, "ok")) for end in heard.calls]


def common() -> dict[str, Any]:
    return {"id": fresh("blk_"), "session_id": "sess_x", "created_at": AT}


def thinking(*opaque: Opaque) -> ThinkingBlock:
    return ThinkingBlock(content=(TextPart(text=""),), opaque=opaque, **common())


def called(call_id: str, name: str = "bash", **fields: Any) -> ToolCallBlock:
    return ToolCallBlock(tool_call_id=call_id, name=name, **({"arguments": {}} | fields), **common())


def result(call_id: str, *parts: Any, is_error: bool = False) -> ToolResultBlock:
    content = tuple(TextPart(text=part) if isinstance(part, str) else part for part in parts)
    return ToolResultBlock(tool_call_id=call_id, content=content, is_error=is_error, **common())


def body(asked: ModelRequest, **fields: Any) -> Any:
    """What goes out, as JSON."""
    dialect = Responses(entry_of("http://127.0.0.1/v1", **fields), place="p", prices=Prices({}))
    return json.loads(dialect.write(asked, KEY, 1, Scrubber((KEY,))).content)


def items(*blocks: Block, **fields: Any) -> list[Any]:
    return body(request(*blocks), **fields)["input"]
