"""The kinds of content blocks while they arrive: what each takes, and what it is when it ends."""

import json
import secrets
from dataclasses import dataclass, field
from typing import Literal, Protocol

from protocol.block import Opaque, Provenance
from protocol.digest import canonical
from protocol.model import (
    Citation,
    ModelEvent,
    Notice,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    ServerToolEnd,
    ServerToolStart,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from protocol.noun import JSON, JSONObject
from providers.arguments import Arguments, read_arguments
from providers.characters import Joiner, whole

Ending = Literal["closed", "finished", "limited", "cut"]
"""The wire closed the block; the answer ended, by itself or at a limit; the stream died."""


class Open(Protocol):
    """A block that the wire has opened; `block` is our number of it."""

    block: int

    def begin(self, wire: JSONObject) -> list[ModelEvent]: ...

    def delta(self, wire: JSONObject) -> list[ModelEvent] | None:
        """None for a delta that is not of this kind."""
        ...

    def end(self, ending: Ending) -> list[ModelEvent]:
        """Its end comes last; without one the block waits for more than its own close."""
        ...


@dataclass
class Text:
    block: int
    told: list[str] = field(default_factory=list[str])
    joiner: Joiner = field(default_factory=Joiner)

    def begin(self, wire: JSONObject) -> list[ModelEvent]:
        cited = wire.get("citations")
        found = [self._cite(one) for one in cited if isinstance(one, dict)] if isinstance(cited, list) else []
        return [TextStart(block=self.block), *self._say(self.joiner.feed(text_of(wire, "text"))), *found]

    def delta(self, wire: JSONObject) -> list[ModelEvent] | None:
        citation = wire.get("citation")
        if wire.get("type") == "citations_delta" and isinstance(citation, dict):
            return [self._cite(citation)]
        if wire.get("type") != "text_delta":
            return None
        return self._say(self.joiner.feed(text_of(wire, "text")))

    def end(self, ending: Ending) -> list[ModelEvent]:
        out = self._say(self.joiner.end())
        end = TextEnd(block=self.block, text="".join(self.told), truncated=ending == "cut")
        return [*out, *damage_of(self.joiner), end]

    def _say(self, text: str) -> list[ModelEvent]:
        if not text:
            return []
        self.told.append(text)
        return [TextDelta(block=self.block, text=text)]

    def _cite(self, wire: JSONObject) -> Citation:
        raw = whole(wire)
        assert isinstance(raw, dict)
        title, uri = raw.get("title") or raw.get("document_title"), raw.get("url") or raw.get("source")
        return Citation(
            block=self.block,
            kind=text_of(raw, "type"),
            uri=uri if isinstance(uri, str) else None,
            title=title if isinstance(title, str) else None,
            raw=raw,
        )


@dataclass
class Reasoning:
    """Thinking, open or encrypted: shown or not, it is kept whole for its maker."""

    block: int
    provenance: Provenance
    shown: bool
    wire: JSONObject = field(default_factory=dict[str, JSON])
    told: list[str] = field(default_factory=list[str])
    joiner: Joiner = field(default_factory=Joiner)

    def begin(self, wire: JSONObject) -> list[ModelEvent]:
        self.wire = {name: value for name, value in wire.items() if name != "thinking"}
        return [ReasoningStart(block=self.block), *self._think(self.joiner.feed(text_of(wire, "thinking")))]

    def delta(self, wire: JSONObject) -> list[ModelEvent] | None:
        if wire.get("type") == "signature_delta":
            self.wire["signature"] = text_of(wire, "signature")
            return []
        if wire.get("type") != "thinking_delta":
            return None
        return self._think(self.joiner.feed(text_of(wire, "thinking")))

    def end(self, ending: Ending) -> list[ModelEvent]:
        out = self._think(self.joiner.end())
        text = "".join(self.told)
        payload = {**self.wire, "thinking": text} if self.wire.get("type") == "thinking" else self.wire
        kept = (
            ending != "cut"
            and not self.joiner.damaged
            and any(payload.get(name) for name in ("thinking", "signature", "data"))
        )
        end = ReasoningEnd(
            block=self.block,
            text=text if self.shown else "",
            visibility="full" if self.shown and text else "omitted",
            opaque=(Opaque(provenance=self.provenance, payload=whole(payload)),) if kept else (),
            truncated=ending == "cut",
        )
        return [*out, *damage_of(self.joiner), end]

    def _think(self, text: str) -> list[ModelEvent]:
        if not text:
            return []
        self.told.append(text)
        return [ReasoningDelta(block=self.block, text=text)] if self.shown else []


@dataclass
class Call:
    """A call of a tool of ours. Arguments that do not parse wait: the output limit may have cut them."""

    block: int
    name: str
    call_id: str
    fresh: bool
    given: JSON = None
    told: list[str] = field(default_factory=list[str])
    joiner: Joiner = field(default_factory=Joiner)

    def begin(self, wire: JSONObject) -> list[ModelEvent]:
        self.given = wire.get("input")
        origin = "wire" if self.fresh else "synthetic"
        return [ToolCallStart(block=self.block, call_id=self.call_id, name=self.name, id_origin=origin)]

    def delta(self, wire: JSONObject) -> list[ModelEvent] | None:
        if wire.get("type") != "input_json_delta":
            return None
        piece = wire.get("partial_json")
        return self._write(self.joiner.feed(_written(piece)))

    def end(self, ending: Ending) -> list[ModelEvent]:
        out = self._write(self.joiner.end())
        if not self.told and self.given and ending != "cut":
            out += self._write(self.joiner.feed(_written(self.given)) + self.joiner.end())
        raw = "".join(self.told)
        if ending == "cut":
            return [*out, self._ended(raw, Arguments({}, "truncated"))]
        read = read_arguments(raw, cut=ending == "limited")
        if ending == "closed" and read.state != "ok":
            return out
        notices = [Notice(code="arguments", detail=f"{self.name}: {notice}") for notice in read.notices]
        return [*out, *notices, self._ended(raw, read)]

    def _ended(self, raw: str, read: Arguments) -> ToolCallEnd:
        return ToolCallEnd(
            block=self.block,
            call_id=self.call_id,
            name=self.name,
            arguments=read.value,
            arguments_raw=raw,
            arguments_state=read.state,
        )

    def _write(self, fragment: str) -> list[ModelEvent]:
        if not fragment:
            return []
        self.told.append(fragment)
        return [ToolCallDelta(block=self.block, arguments=fragment)]


@dataclass
class ServerTool:
    """What the vendor does by itself: a call, which waits for its result, or a compaction."""

    block: int
    provenance: Provenance
    call_id: str
    name: str
    items: list[JSONObject] = field(default_factory=list[JSONObject])
    told: list[str] = field(default_factory=list[str])
    answered: bool = False

    def begin(self, wire: JSONObject) -> list[ModelEvent]:
        self.items.append(dict(wire))
        self.answered = not is_server_call(wire)
        return [ServerToolStart(block=self.block, call_id=self.call_id, name=self.name)]

    def delta(self, wire: JSONObject) -> list[ModelEvent] | None:
        if wire.get("type") == "input_json_delta":
            self.told.append(_written(wire.get("partial_json")))
            return []
        if wire.get("type") != "compaction_delta":
            return None
        self.items[0] |= {name: value for name, value in wire.items() if name != "type"}
        return []

    def answer(self, wire: JSONObject) -> None:
        self.items.append(dict(wire))
        self.answered = True

    def end(self, ending: Ending) -> list[ModelEvent]:
        if self.told:
            self.items[0]["input"] = dict(read_arguments("".join(self.told), cut=False).value)
            self.told.clear()
        if not self.answered and ending == "closed":
            return []
        kept = (
            ()
            if ending == "cut"
            else tuple(Opaque(provenance=self.provenance, payload=whole(item)) for item in self.items)
        )
        status = "truncated" if ending == "cut" or not self.answered else self._status()
        end = ServerToolEnd(
            block=self.block, call_id=self.call_id, name=self.name, status=status, opaque=kept
        )
        return [end]

    def _status(self) -> Literal["completed", "failed"]:
        result = self.items[-1]
        content = result.get("content")
        kind = content.get("type") if isinstance(content, dict) else None
        failed = result.get("is_error") is True or (isinstance(kind, str) and kind.endswith("_error"))
        return "failed" if failed else "completed"


def is_server_call(wire: JSONObject) -> bool:
    return wire.get("type") in ("server_tool_use", "mcp_tool_use")


def text_of(wire: JSONObject, name: str) -> str:
    value = wire.get(name)
    return value if isinstance(value, str) else ""


def synthetic_id() -> str:
    return f"call_{secrets.token_hex(12)}"


def damage_of(joiner: Joiner) -> list[ModelEvent]:
    return [Notice(code="damaged_text", detail="a lone surrogate was replaced")] if joiner.damaged else []


def _written(value: JSON) -> str:
    """Arguments as text: backends send them as an object too."""
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return canonical(value).decode()
    except ValueError:
        return json.dumps(value)
