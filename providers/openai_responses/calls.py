"""A call of one of our tools: complete when the wire says that its item is done."""

import secrets
from typing import Literal

from protocol.block import ArgumentsState
from protocol.digest import canonical
from protocol.model import ModelEvent, Notice, ToolCallDelta, ToolCallEnd, ToolCallKind, ToolCallStart
from protocol.noun import JSONObject
from providers.arguments import Arguments, read_arguments
from providers.characters import whole
from providers.openai_responses.scene import Scene, text_in
from providers.openai_responses.spoken import Spoken

_BESIDE = ("namespace", "caller", "async")


class Call:
    """`call_id` joins it to its result; the id of its item means nothing to us."""

    def __init__(self, scene: Scene, kind: str) -> None:
        self._scene = scene
        self._kind: ToolCallKind = "custom" if kind == "custom_tool_call" else "function"
        self._field = "input" if self._kind == "custom" else "arguments"
        self._block: int | None = None
        self._call_id = self._name = ""
        self._waiting = ""
        self._spoken = Spoken()

    def begin(self, wire: JSONObject) -> list[ModelEvent]:
        name, call_id = text_in(wire, "name"), text_in(wire, "call_id")
        if self._block is not None or not name or not call_id:
            return []
        return self._start(name, call_id)

    def take(self, name: str, event: JSONObject) -> list[ModelEvent]:
        if name.endswith(".done"):
            self._spoken.final = self._value(event) or self._spoken.final
            return []
        return self._say(text_in(event, "delta"))

    def end(self, wire: JSONObject, *, cut: bool) -> list[ModelEvent]:
        out: list[ModelEvent] = []
        if self._block is None:
            name = text_in(wire, "name")
            if not name:
                return [Notice(code="nameless_call", detail="a call without a name was left out")]
            out += self._start(name, text_in(wire, "call_id"))
        out += self._say("")
        self._spoken.final = self._value(wire) or self._spoken.final
        settled = self._spoken.settle()
        if settled.rest:
            out.append(ToolCallDelta(block=self._block or 0, arguments=settled.rest))
        out += settled.notices
        arguments = self._read(settled.value, cut=cut or wire.get("status") == "incomplete")
        out += [Notice(code="arguments", detail=f"{self._name}: {told}") for told in arguments.notices]
        return [*out, self._end(arguments.value, settled.value, arguments.state, wire)]

    def cut(self) -> list[ModelEvent]:
        if self._block is None:
            return []
        told = self._spoken.told
        return [self._end({}, told, "truncated", {})]

    def _start(self, name: str, call_id: str) -> list[ModelEvent]:
        """An id that the session has already seen is replaced: results are matched by it."""
        scene = self._scene
        call_id = str(whole(call_id))
        fresh = bool(call_id) and call_id not in scene.used_ids
        self._call_id = call_id if fresh else f"call_{secrets.token_hex(12)}"
        scene.used_ids.add(self._call_id)
        scene.calls += 1
        self._name = scene.aliases.restore(str(whole(name)))
        self._block = scene.take()
        origin: Literal["wire", "synthetic"] = "wire" if fresh else "synthetic"
        started = ToolCallStart(
            block=self._block, call_id=self._call_id, name=self._name, kind=self._kind, id_origin=origin
        )
        return [started]

    def _say(self, piece: str) -> list[ModelEvent]:
        """Held back until the call has started."""
        if self._block is None:
            self._waiting += piece
            return []
        piece, self._waiting = self._waiting + piece, ""
        text = self._spoken.feed(piece)
        self._scene.chars += len(text)
        return [ToolCallDelta(block=self._block, arguments=text)] if text else []

    def _value(self, wire: JSONObject) -> str:
        value = wire.get(self._field)
        if isinstance(value, dict | list):
            return canonical(whole(value)).decode()
        return value if isinstance(value, str) else ""

    def _read(self, raw: str, *, cut: bool) -> Arguments:
        if self._kind == "function":
            return read_arguments(raw, cut=cut)
        return Arguments({}, "truncated") if cut else Arguments({"input": raw}, "ok")

    def _end(self, arguments: JSONObject, raw: str, state: ArgumentsState, wire: JSONObject) -> ToolCallEnd:
        beside: JSONObject = {name: wire[name] for name in _BESIDE if wire.get(name)}
        if self._kind == "custom":
            beside["type"] = "custom_tool_call"
        return ToolCallEnd(
            block=self._block or 0,
            call_id=self._call_id,
            name=self._name,
            kind=self._kind,
            arguments=arguments,
            arguments_raw=raw,
            arguments_state=state,
            opaque=(self._scene.opaque(beside),) if beside else (),
        )
