"""The content of one answer: its blocks by the wire's index, ours numbered as they began."""

from collections.abc import Iterable

from protocol.block import Provenance
from protocol.model import ModelEvent
from protocol.noun import JSONObject
from providers.aliases import Aliases
from providers.anthropic.blocks import (
    Call,
    Ending,
    Open,
    Reasoning,
    ServerTool,
    Text,
    is_server_call,
    synthetic_id,
    text_of,
)
from providers.characters import whole

_IMPLIED = {"text_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking"}


class Content:
    """Blocks may overlap. `called` says whether a tool of ours was called, `began` whether anything came."""

    def __init__(
        self, provenance: Provenance, aliases: Aliases, used_ids: Iterable[str], *, shown: bool
    ) -> None:
        self.began = False
        self.called = False
        self._provenance = provenance
        self._aliases = aliases
        self._used = set(used_ids)
        self._shown = shown
        self._blocks = 0
        self._open: dict[object, Open] = {}
        self._waiting: list[Open] = []
        self._results: dict[object, tuple[ServerTool, JSONObject]] = {}

    def start(self, index: object, wire: JSONObject) -> list[ModelEvent] | None:
        """None for a kind of block that is not known."""
        if text_of(wire, "type").endswith("_tool_result"):
            return self._result(index, wire)
        block = self._made(wire)
        return None if block is None else self._begin(index, block, wire)

    def delta(self, index: object, wire: JSONObject) -> list[ModelEvent] | None:
        """None for a delta that is not known, or not of its block."""
        out: list[ModelEvent] = []
        implied = _IMPLIED.get(text_of(wire, "type"))
        if index not in self._open and implied:
            out += self.start(index, {"type": implied}) or []
        block = self._open.get(index)
        told = block.delta(wire) if block else None
        return out + told if told is not None else None

    def stop(self, index: object) -> list[ModelEvent]:
        answered = self._results.pop(index, None)
        if answered is not None:
            server, wire = answered
            server.answer(wire)
            return self._end(server, "closed")
        block = self._open.pop(index, None)
        return self._end(block, "closed") if block else []

    def end(self, ending: Ending) -> list[ModelEvent]:
        """The answer is over: whatever is open or waits ends, in the order in which it began."""
        for server, wire in self._results.values():
            if ending != "cut":
                server.answer(wire)
        left = [*self._open.values(), *self._waiting]
        self._open.clear()
        self._waiting.clear()
        self._results.clear()
        return [event for block in sorted(left, key=lambda one: one.block) for event in block.end(ending)]

    def _end(self, block: Open, ending: Ending) -> list[ModelEvent]:
        out = block.end(ending)
        ended = bool(out) and out[-1].type.endswith("_end")
        if block in self._waiting:
            self._waiting.remove(block)
        if not ended:
            self._waiting.append(block)
        return out

    def _made(self, wire: JSONObject) -> Open | None:
        kind = wire.get("type")
        if kind == "text":
            return Text(self._blocks)
        if kind in ("thinking", "redacted_thinking"):
            return Reasoning(self._blocks, self._provenance, self._shown)
        if kind == "tool_use":
            self.called = True
            name = self._aliases.restore(str(whole(text_of(wire, "name"))))
            call_id = str(whole(text_of(wire, "id")))
            fresh = bool(call_id) and call_id not in self._used
            call_id = call_id if fresh else synthetic_id()
            self._used.add(call_id)
            return Call(self._blocks, name, call_id, fresh)
        if kind == "compaction" or is_server_call(wire):
            name = "compaction" if kind == "compaction" else str(whole(text_of(wire, "name")))
            call_id = str(whole(text_of(wire, "id"))) or synthetic_id()
            return ServerTool(self._blocks, self._provenance, call_id, name)
        return None

    def _result(self, index: object, wire: JSONObject) -> list[ModelEvent]:
        """The result of a tool that the vendor ran; one without its call is told as both."""
        call_id = str(whole(text_of(wire, "tool_use_id")))
        for block in (*self._waiting, *self._open.values()):
            if isinstance(block, ServerTool) and block.call_id == call_id and not block.answered:
                self._results[index] = (block, wire)
                return []
        name = text_of(wire, "type").removesuffix("_tool_result")
        server = ServerTool(self._blocks, self._provenance, call_id or synthetic_id(), str(whole(name)))
        return self._begin(index, server, wire)

    def _begin(self, index: object, block: Open, wire: JSONObject) -> list[ModelEvent]:
        self.began = True
        self._blocks += 1
        self._open[index] = block
        return block.begin(wire)
