"""The blocks of one answer while they are being built: numbered from 0, each started and ended once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from protocol.block import ArgumentsState, Opaque
from protocol.model import (
    Media,
    ModelEvent,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    RefusalDelta,
    ServerToolEnd,
    ServerToolStart,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from protocol.noun import JSONObject


@dataclass
class Prose:
    """The text or reasoning block that is open; a hidden one keeps its text for replay only."""

    kind: Literal["text", "reasoning"]
    block: int
    hidden: bool = False
    fragments: list[str] = field(default_factory=list[str])


@dataclass
class OpenCall:
    """A tool call whose block the wire has not closed yet."""

    block: int
    call_id: str
    name: str
    fragments: list[str] = field(default_factory=list[str])

    @property
    def raw(self) -> str:
        return "".join(self.fragments)


@dataclass(frozen=True)
class OpenServerTool:
    """A tool of the vendor's own that runs."""

    block: int
    call_id: str
    name: str


class Assembly:
    """Turns fragments into block events; at most one prose block is open, any number of tool calls.

    `seal` gives the opaque state of the reasoning block that ends, `seal_text` that of the text block.
    `text_block` is the newest text block, whether or not it is still open.
    """

    def __init__(
        self,
        seal: Callable[[], tuple[Opaque, ...]] = tuple,
        seal_text: Callable[[], tuple[Opaque, ...]] = tuple,
    ) -> None:
        self._seal = seal
        self._seal_text = seal_text
        self.delivered = False
        self.calls: list[OpenCall] = []
        self.server_tools: list[OpenServerTool] = []
        self.text_block: int | None = None
        self._blocks = 0
        self._prose: Prose | None = None
        self._refusal: int | None = None

    def text(self, fragment: str) -> list[ModelEvent]:
        out: list[ModelEvent] = []
        prose = self._prose
        if prose is None or prose.kind != "text":
            out += self.end_prose()
            prose = self._prose = Prose("text", self._take())
            self.text_block = prose.block
            out.append(TextStart(block=prose.block))
        if fragment:
            prose.fragments.append(fragment)
            out.append(TextDelta(block=prose.block, text=fragment))
        return out

    def reasoning(self, fragment: str, *, hidden: bool = False) -> list[ModelEvent]:
        out: list[ModelEvent] = []
        prose = self._prose
        if prose is None or prose.kind != "reasoning":
            out += self.end_prose()
            prose = self._prose = Prose("reasoning", self._take(), hidden)
            out.append(ReasoningStart(block=prose.block))
        if fragment and not hidden:
            prose.fragments.append(fragment)
            out.append(ReasoningDelta(block=prose.block, text=fragment))
        return out

    def refusal(self, fragment: str) -> list[ModelEvent]:
        """A refusal is its deltas: it has neither start nor end."""
        out: list[ModelEvent] = []
        if self._refusal is None:
            out += self.end_prose()
            self._refusal = self._take()
        out.append(RefusalDelta(block=self._refusal, text=fragment))
        return out

    def end_prose(self, *, truncated: bool = False) -> list[ModelEvent]:
        prose, self._prose = self._prose, None
        if prose is None:
            return []
        text = "".join(prose.fragments)
        if prose.kind == "text":
            sealed = self._seal_text()
            end = TextEnd(
                block=prose.block, text=text, opaque=() if truncated else sealed, truncated=truncated
            )
            return [end]
        opaque = self._seal()
        return [
            ReasoningEnd(
                block=prose.block,
                text=text,
                visibility="omitted" if prose.hidden else "full",
                opaque=() if truncated else opaque,
                truncated=truncated,
            )
        ]

    def start_call(
        self, call_id: str, name: str, *, id_origin: Literal["wire", "synthetic"] = "wire"
    ) -> list[ModelEvent]:
        """The started call is the last of `calls`."""
        out = self.end_prose()
        call = OpenCall(self._take(), call_id, name)
        self.calls.append(call)
        out.append(ToolCallStart(block=call.block, call_id=call_id, name=name, id_origin=id_origin))
        return out

    def arguments(self, call: OpenCall, fragment: str) -> list[ModelEvent]:
        if not fragment:
            return []
        call.fragments.append(fragment)
        return [ToolCallDelta(block=call.block, arguments=fragment)]

    def end_call(
        self,
        call: OpenCall,
        arguments: JSONObject,
        state: ArgumentsState,
        opaque: tuple[Opaque, ...] = (),
    ) -> list[ModelEvent]:
        self.calls.remove(call)
        return [
            ToolCallEnd(
                block=call.block,
                call_id=call.call_id,
                name=call.name,
                arguments=arguments,
                arguments_raw=call.raw,
                arguments_state=state,
                opaque=opaque,
            )
        ]

    def start_server_tool(self, call_id: str, name: str) -> list[ModelEvent]:
        """The started tool is the last of `server_tools`."""
        out = self.end_prose()
        tool = OpenServerTool(self._take(), call_id, name)
        self.server_tools.append(tool)
        out.append(ServerToolStart(block=tool.block, call_id=call_id, name=name))
        return out

    def end_server_tool(
        self,
        tool: OpenServerTool,
        status: Literal["completed", "failed", "truncated"],
        opaque: tuple[Opaque, ...] = (),
    ) -> list[ModelEvent]:
        self.server_tools.remove(tool)
        return [
            ServerToolEnd(
                block=tool.block, call_id=tool.call_id, name=tool.name, status=status, opaque=opaque
            )
        ]

    def media(self, media_type: str, data: str) -> list[ModelEvent]:
        out = self.end_prose()
        out.append(Media(block=self._take(), media_type=media_type, data=data))
        return out

    def cut(self) -> list[ModelEvent]:
        """The stream died: whatever is open ends truncated."""
        out = self.end_prose(truncated=True)
        for call in tuple(self.calls):
            out += self.end_call(call, {}, "truncated")
        for tool in tuple(self.server_tools):
            out += self.end_server_tool(tool, "truncated")
        return out

    def _take(self) -> int:
        self._blocks += 1
        self.delivered = True
        return self._blocks - 1
