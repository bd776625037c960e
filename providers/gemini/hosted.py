"""Tools that the vendor runs by itself: a call part, later its result part, kept as they came."""

import secrets
from dataclasses import dataclass, field

from protocol.model import ModelEvent
from protocol.noun import JSON, JSONObject
from providers.assembly import Assembly, OpenServerTool
from providers.characters import whole
from providers.gemini.signatures import Signatures

_RESULTS = {"codeExecutionResult": "executableCode", "toolResponse": "toolCall"}
_DONE = {"OUTCOME_OK", "OUTCOME_UNSPECIFIED", None}


@dataclass
class Running:
    """A tool that was called; `kind` is the name of the part that called it."""

    open: OpenServerTool
    kind: str
    wire_id: str | None
    parts: list[JSON] = field(default_factory=list[JSON])


class HostedTools:
    """The vendor's tools of one answer."""

    def __init__(self, assembly: Assembly, signatures: Signatures) -> None:
        self._assembly = assembly
        self._signatures = signatures
        self._running: list[Running] = []

    def takes(self, part: JSONObject) -> bool:
        return any(isinstance(part.get(kind), dict) for pair in _RESULTS.items() for kind in pair)

    def part(self, part: JSONObject) -> list[ModelEvent]:
        kind = next(kind for pair in _RESULTS.items() for kind in pair if isinstance(part.get(kind), dict))
        wire = part[kind]
        assert isinstance(wire, dict)
        called = _RESULTS.get(kind)
        out: list[ModelEvent] = []
        tool = self._of(called, wire) if called else None
        if tool is None:
            tool, out = self._start(called or kind, wire)
        tool.parts.append(whole(part))
        return out + (self._end(tool, wire) if called else [])

    def close(self) -> list[ModelEvent]:
        """The answer is over: no results come any more."""
        out: list[ModelEvent] = []
        for tool in self._running:
            out += self._assembly.end_server_tool(tool.open, "truncated", self._signatures.items(tool.parts))
        self._running.clear()
        return out

    def _of(self, kind: str, wire: JSONObject) -> Running | None:
        same = [tool for tool in self._running if tool.kind == kind]
        named = [tool for tool in same if tool.wire_id is not None and tool.wire_id == wire.get("id")]
        nameless = same if wire.get("id") is None else [tool for tool in same if tool.wire_id is None]
        return next(iter(named or nameless), None)

    def _start(self, kind: str, wire: JSONObject) -> tuple[Running, list[ModelEvent]]:
        wire_id, name = wire.get("id"), wire.get("toolType")
        wire_id = str(whole(wire_id)) if isinstance(wire_id, str) and wire_id else None
        told = str(whole(name)).lower() if kind == "toolCall" and isinstance(name, str) else "code_execution"
        out = self._assembly.start_server_tool(wire_id or f"call_{secrets.token_hex(12)}", told)
        tool = Running(self._assembly.server_tools[-1], kind, wire_id)
        self._running.append(tool)
        return tool, out

    def _end(self, tool: Running, wire: JSONObject) -> list[ModelEvent]:
        self._running.remove(tool)
        status = "completed" if wire.get("outcome") in _DONE else "failed"
        return self._assembly.end_server_tool(tool.open, status, self._signatures.items(tool.parts))
