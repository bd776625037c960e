"""What every provider owes its callers, whatever it speaks below."""

import asyncio
import time
from collections.abc import Iterable
from contextlib import aclosing
from datetime import UTC, datetime
from typing import Any

from protocol.block import Block, InputBlock, ResponseBlock, TextPart, ToolCallBlock, ToolResultBlock
from protocol.ids import BlockId, SessionId, fresh
from protocol.model import (
    Finish,
    Media,
    ModelEvent,
    ModelRequest,
    Notice,
    ReasoningDelta,
    ReasoningEnd,
    ReasoningStart,
    RefusalDelta,
    ServerToolEnd,
    ServerToolStart,
    StreamError,
    TextDelta,
    TextEnd,
    TextStart,
    ToolCallDelta,
    ToolCallEnd,
    ToolCallStart,
)
from protocol.tool import ToolDefinition
from providers.provider import Provider

AT = datetime(2026, 1, 1, tzinfo=UTC)
SCRIPT = """
[[scenarios]]
when = "greet"
turns = [{ thinking = "someone is here", text = "Hello, wörld 👋 of many deltas", delta_chars = 3 }]

[[scenarios]]
when = "look"
[[scenarios.turns]]
text = "Let me look."
tool_calls = [
  { id = "a", name = "bash", arguments = { command = "ls", depth = 2 } },
  { id = "b", name = "fs.read/file", arguments = {} },
]
usage = { input = 10, cache_read = 4, output = 6, reasoning = 1 }
[[scenarios.turns]]
text = "I saw: {last_result}"

[[scenarios]]
when = "half"
turns = [{ tool_calls = [{ name = "bash", arguments = '{"command": "l' }], finish = "length" }]

[[scenarios]]
when = "wrong"
turns = [{ tool_calls = [{ name = "bash", arguments = "{]" }] }]

[[scenarios]]
when = "refuse"
turns = [{ text = "No.", finish = "refusal" }]

[[scenarios]]
when = "stall"
turns = [{ text = "abcdefgh", delta_chars = 1, faults = [{ fault = "hang", after_deltas = 3 }] }]

[[scenarios]]
when = "fail (?P<kind>cut|garbage)"
[[scenarios.turns]]
text = "0123456789"
delta_chars = 2
faults = [
  { fault = "cut", attempt = 1, after_deltas = 0 },
  { fault = "cut", attempt = 2, after_deltas = 3 },
  { fault = "error:503", attempt = 3, after_deltas = 2 },
  { fault = "error:429", attempt = 4, retry_after_ms = 1500 },
  { fault = "garbage", attempt = 5, after_deltas = 1 },
  { fault = "error:401", attempt = 6 },
]
"""


def block_id() -> BlockId:
    return BlockId(fresh("blk_"))


def said(text: str) -> InputBlock:
    return InputBlock(
        id=block_id(),
        session_id=SessionId(fresh("sess_")),
        created_at=AT,
        content=(TextPart(text=text),),
    )


def request(*blocks: Block, instructions: str = "Be brief.", model: str = "m1") -> ModelRequest:
    tools = tuple(
        ToolDefinition(
            name=name, description=name, input_schema={"type": "object"}, source="native", effect="read_only"
        )
        for name in ("bash", "fs.read/file")
    )
    return ModelRequest(model=model, instructions=instructions, blocks=blocks, tools=tools)


class StreamChecker:
    """Follows one stream and refuses what breaks the invariants."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[str, list[str]]] = {}
        self._next = 0
        self.terminal: Finish | StreamError | None = None
        self.ended: list[TextEnd | ReasoningEnd | ToolCallEnd] = []
        self.refusal = ""
        self._mismatch = False
        self._refusal_block: int | None = None

    def follow(self, events: Iterable[ModelEvent]) -> "StreamChecker":
        for event in events:
            self.take(event)
        assert self.terminal is not None, "the stream has no terminal event"
        return self

    def take(self, event: ModelEvent) -> None:
        assert self.terminal is None, f"{event} follows the terminal event"
        match event:
            case TextStart() | ReasoningStart() | ToolCallStart() | ServerToolStart():
                assert event.block == self._next, "blocks are numbered from 0 in the order of their start"
                self._next += 1
                self._open[event.block] = (event.type.removesuffix("_start"), [])
            case TextDelta() | ReasoningDelta():
                self._delta(event.block, event.type, event.text)
            case ToolCallDelta():
                self._delta(event.block, event.type, event.arguments)
            case TextEnd() | ReasoningEnd():
                self._end(event, event.text)
            case ToolCallEnd():
                self._end(event, event.arguments_raw)
                if event.arguments_state != "ok":
                    assert event.arguments == {}
            case Notice(code="delta_mismatch"):
                self._mismatch = True
            case ServerToolEnd():
                assert self._open.pop(event.block)[0] == "server_tool"
            case Media():
                assert event.block == self._next
                self._next += 1
            case RefusalDelta():
                if self._refusal_block is None:
                    assert event.block == self._next
                    self._next, self._refusal_block = self._next + 1, event.block
                assert event.block == self._refusal_block
                assert event.text, "a delta is never empty"
                self.refusal += event.text
            case Finish() | StreamError():
                assert not self._open, f"blocks {sorted(self._open)} were never ended"
                self.terminal = event
                self._check_reason(event)
            case _:
                pass

    def _delta(self, block: int, kind: str, text: str) -> None:
        assert text, "a delta is never empty"
        assert self._open[block][0] == kind.removesuffix("_delta")
        self._open[block][1].append(text)

    def _end(self, event: TextEnd | ReasoningEnd | ToolCallEnd, value: str) -> None:
        kind, fragments = self._open.pop(event.block)
        assert kind == event.type.removesuffix("_end")
        assert "".join(fragments) == value or self._mismatch, "the deltas make up the value"
        self._mismatch = False
        self.ended.append(event)

    def _check_reason(self, event: Finish | StreamError) -> None:
        calls = [end for end in self.ended if isinstance(end, ToolCallEnd)]
        if isinstance(event, Finish) and event.reason == "tool_calls":
            assert calls, "tool_calls without a call"
        if isinstance(event, Finish) and event.reason == "stop":
            assert not calls, "calls, but the reason is stop"

    @property
    def text(self) -> str:
        return "".join(end.text for end in self.ended if isinstance(end, TextEnd))

    @property
    def calls(self) -> list[ToolCallEnd]:
        return [end for end in self.ended if isinstance(end, ToolCallEnd)]


async def heard(provider: Provider, asked: ModelRequest, *, attempt: int = 1) -> list[ModelEvent]:
    return [event async for event in provider.stream(asked, attempt=attempt)]


class ProviderSuite:
    """Inherited by a test class whose `provider` fixture plays SCRIPT under the model name m1."""

    native_stop = "stop"

    async def checked(self, provider: Provider, asked: ModelRequest, *, attempt: int = 1) -> StreamChecker:
        return StreamChecker().follow(await heard(provider, asked, attempt=attempt))

    async def test_thinking_and_text_arrive_as_blocks(self, provider: Provider) -> None:
        events = await heard(provider, request(said("greet me")))
        stream = StreamChecker().follow(events)
        assert stream.text == "Hello, wörld 👋 of many deltas"
        assert [end.text for end in stream.ended if isinstance(end, ReasoningEnd)] == ["someone is here"]
        assert sum(isinstance(event, TextDelta) for event in events) == 10
        assert isinstance(stream.terminal, Finish)
        assert (stream.terminal.reason, stream.terminal.native_reason) == ("stop", self.native_stop)

    async def test_parallel_calls_arrive_in_order_and_their_results_go_back(self, provider: Provider) -> None:
        first = said("look around")
        stream = await self.checked(provider, request(first))
        assert [(call.call_id, call.name, call.arguments, call.arguments_state) for call in stream.calls] == [
            ("a", "bash", {"command": "ls", "depth": 2}, "ok"),
            ("b", "fs.read/file", {}, "ok"),
        ]
        assert isinstance(stream.terminal, Finish)
        assert stream.terminal.reason == "tool_calls"
        usage = stream.terminal.usage
        assert (usage.input_uncached, usage.cache_read, usage.output_total, usage.total) == (10, 4, 6, 20)
        assert (usage.output_reasoning, usage.estimated) == (1, False)
        common: dict[str, Any] = {"session_id": first.session_id, "created_at": AT}
        history = [
            ResponseBlock(id=BlockId("r"), content=(TextPart(text=stream.text),), **common),
            *(
                ToolCallBlock(
                    id=BlockId(end.call_id),
                    tool_call_id=end.call_id,
                    name=end.name,
                    arguments=end.arguments,
                    **common,
                )
                for end in stream.calls
            ),
            ToolResultBlock(id=BlockId("rb"), tool_call_id="b", content=(TextPart(text="two"),), **common),
            ToolResultBlock(id=BlockId("ra"), tool_call_id="a", content=(TextPart(text="one"),), **common),
        ]
        answer = await self.checked(provider, request(first, *history))
        assert answer.text in ("I saw: one", "I saw: two")

    async def test_a_call_cut_by_the_output_limit_is_truncated(self, provider: Provider) -> None:
        stream = await self.checked(provider, request(said("half")))
        assert [call.arguments_state for call in stream.calls] == ["truncated"]
        assert isinstance(stream.terminal, Finish)
        assert stream.terminal.reason == "length"

    async def test_arguments_that_do_not_parse_are_told_as_such(self, provider: Provider) -> None:
        stream = await self.checked(provider, request(said("wrong")))
        assert [(call.arguments_state, call.arguments_raw) for call in stream.calls] == [("invalid", "{]")]
        assert isinstance(stream.terminal, Finish)
        assert stream.terminal.reason == "tool_calls"

    async def test_a_refusal_is_told_apart_from_text(self, provider: Provider) -> None:
        stream = await self.checked(provider, request(said("refuse")))
        assert (stream.refusal, stream.text) == ("No.", "")
        assert isinstance(stream.terminal, Finish)
        assert stream.terminal.reason == "refusal"

    async def test_each_fault_is_an_error_event_of_its_class(self, provider: Provider) -> None:
        told: list[tuple[str, bool, bool, int | None]] = []
        for attempt in range(1, 8):
            stream = await self.checked(provider, request(said("fail cut")), attempt=attempt)
            if isinstance(stream.terminal, StreamError):
                end = stream.terminal
                told.append((end.code, end.retryable, end.partial, end.retry_after_ms))
            else:
                assert (attempt, stream.text) == (7, "0123456789")
        assert told == [
            ("provider.stream_truncated", True, False, None),
            ("provider.stream_truncated", True, True, None),
            ("provider.overloaded", True, True, None),
            ("provider.rate_limited", True, False, 1500),
            ("provider.protocol_violation", True, True, None),
            ("provider.unauthorized", False, False, None),
        ]

    async def test_past_the_last_turn_the_request_is_refused_for_good(self, provider: Provider) -> None:
        first = said("greet me")
        block = ResponseBlock(
            id=BlockId("r"), session_id=first.session_id, created_at=AT, content=(TextPart(text="Hello"),)
        )
        stream = await self.checked(provider, request(first, block, said("and again")))
        assert isinstance(stream.terminal, StreamError)
        assert (stream.terminal.error_class, stream.terminal.retryable) == ("validation", False)

    async def test_leaving_a_silent_stream_takes_less_than_a_second(self, provider: Provider) -> None:
        stream = provider.stream(request(said("stall")), attempt=1)
        texts: list[str] = []

        async def read() -> None:
            async with aclosing(stream):
                async for event in stream:
                    if isinstance(event, TextDelta):
                        texts.append(event.text)
                    if len(texts) == 3:
                        reached.set()

        reached = asyncio.Event()
        reader = asyncio.create_task(read())
        await asyncio.wait_for(reached.wait(), 30)
        began = time.monotonic()
        reader.cancel()
        await asyncio.wait({reader})
        assert time.monotonic() - began < 1
        assert (reader.cancelled(), texts) == (True, ["a", "b", "c"])
