"""One answer of a model as it arrives: its deltas go to the log coalesced, its parts wait for the commit."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any, Literal, assert_never

from protocol.block import Block, Opaque, ResponseBlock, TextPart, ThinkingBlock, ToolCallBlock
from protocol.event import ResponseDelta, ThinkingDelta
from protocol.ids import BlockId, CallId, RunId, derived
from protocol.model import (
    Finish,
    ModelEvent,
    ReasoningDelta,
    ReasoningEnd,
    RefusalDelta,
    ServerToolEnd,
    StreamError,
    TextDelta,
    TextEnd,
    ToolCallEnd,
)
from protocol.noun import Moment, Noun
from protocol.run import Run
from records import calls
from records.tx import Tx
from records.writer import Writer
from worker.inflight import Stopped

FLUSH_SECONDS = 0.025
FLUSH_BYTES = 4 * 1024

Kind = Literal["response", "thinking"]


class TextOf(Noun):
    text: str
    opaque: tuple[Opaque, ...] = ()


class ThinkingOf(Noun):
    text: str
    opaque: tuple[Opaque, ...]


class CallPart(Noun):
    end: ToolCallEnd


class Answer(Noun):
    """What the stream came to, in the order in which its blocks began.

    `untold` are the last deltas: they go into the log in the commit of the answer.
    """

    parts: tuple[TextOf | ThinkingOf | CallPart, ...]
    ending: Finish | StreamError
    ttft_ms: int | None
    untold: tuple[ResponseDelta | ThinkingDelta, ...] = ()

    @property
    def text(self) -> str:
        """All that was said and thought, without the calls."""
        return "\n".join(part.text for part in self.parts if not isinstance(part, CallPart))


class Deltas:
    """The fragments of one attempt on their way into the log: every 25 ms or 4 KiB, fenced by the attempt.

    With `withhold` nothing is told before the whole answer is there and may be told.
    """

    def __init__(
        self, writer: Writer, run_id: RunId, call_id: CallId, attempt: int, *, withhold: bool = False
    ) -> None:
        self._writer = writer
        self._run_id = run_id
        self._call_id = call_id
        self._attempt = attempt
        self._waiting: list[tuple[Kind, int, list[str]]] = []
        self._size = 0
        self._timer: asyncio.Task[None] | None = None
        self._flushing: asyncio.Future[None] | None = None
        self._stale = False
        self._withhold = withhold

    async def add(self, kind: Kind, block: int, text: str) -> None:
        if self._stale:
            raise Stopped
        if self._flushing is not None and self._flushing.done():
            self._flushing.result()  # what it could not commit is missing: this attempt ends here
        if not self._waiting or self._waiting[-1][:2] != (kind, block):
            self._waiting.append((kind, block, []))
        self._waiting[-1][2].append(text)
        self._size += len(text)
        if self._withhold:
            return
        if self._size >= FLUSH_BYTES:
            await self.flush()
        elif self._timer is None:
            self._timer = asyncio.create_task(self._flush_later())

    async def flush(self) -> None:
        made = self._taken()
        if not made:
            return

        def unit(tx: Tx) -> bool:
            return calls.append_deltas(tx, self._run_id, self._call_id, self._attempt, made)

        self._stale = not await self._writer.commit(unit, runs=[self._run_id])

    async def take(self) -> tuple[ResponseDelta | ThinkingDelta, ...]:
        """The end of it, once all before it is in the log."""
        await self._stop_timer()
        if self._flushing is not None:
            await asyncio.shield(self._flushing)
        return tuple(self._taken())

    async def close(self) -> None:
        """What came is told, also when the stream was stopped."""
        await self._stop_timer()
        if self._waiting and not self._withhold:
            await asyncio.shield(self.flush())

    async def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.gather(self._timer, return_exceptions=True)

    async def _flush_later(self) -> None:
        await asyncio.sleep(FLUSH_SECONDS)
        self._timer = None
        self._flushing = asyncio.ensure_future(self.flush())
        await asyncio.shield(self._flushing)

    def _taken(self) -> list[ResponseDelta | ThinkingDelta]:
        waiting, self._waiting, self._size = self._waiting, [], 0
        made: list[ResponseDelta | ThinkingDelta] = []
        for kind, block, texts in waiting:
            of_kind = ResponseDelta if kind == "response" else ThinkingDelta
            made.append(
                of_kind(call_id=self._call_id, attempt=self._attempt, block=block, delta="".join(texts))
            )
        return made


async def collect(stream: AsyncIterator[ModelEvent], deltas: Deltas) -> Answer:
    """Read the stream to its one terminal event."""
    began = time.monotonic()
    first: float | None = None
    parts: dict[int, TextOf | ThinkingOf | CallPart] = {}
    refusals: dict[int, str] = {}
    async for event in stream:
        match event:
            case TextDelta(block=block, text=text):
                first = first or time.monotonic()
                await deltas.add("response", block, text)
            case RefusalDelta(block=block, text=text):
                first = first or time.monotonic()
                refusals[block] = refusals.get(block, "") + text
                await deltas.add("response", block, text)
            case ReasoningDelta(block=block, text=text):
                first = first or time.monotonic()
                await deltas.add("thinking", block, text)
            case TextEnd(block=block, text=text, opaque=opaque):
                if text or opaque:
                    parts[block] = TextOf(text=text, opaque=opaque)
            case ReasoningEnd(block=block, text=text, opaque=opaque):
                if text or opaque:
                    parts[block] = ThinkingOf(text=text, opaque=opaque)
            case ServerToolEnd(block=block, opaque=opaque):
                if opaque:
                    parts[block] = ThinkingOf(text="", opaque=opaque)
            case ToolCallEnd(block=block):
                first = first or time.monotonic()
                parts[block] = CallPart(end=event)
            case Finish() | StreamError():
                parts |= {block: TextOf(text=text) for block, text in refusals.items()}
                ordered = tuple(parts[block] for block in sorted(parts))
                ttft = round((first - began) * 1000) if first is not None else None
                return Answer(parts=ordered, ending=event, ttft_ms=ttft)
            case _:
                pass
    return failed("provider.stream_truncated", "the stream ended without a terminal event", retryable=True)


def failed(code: str, message: str, *, retryable: bool = False) -> Answer:
    """What a stream comes to that has no terminal event of its own; where it is not tried again, it may have
    been charged for."""
    ending = StreamError(
        error_class="provider_transient",
        code=code,
        message=message,
        retryable=retryable,
        partial=not retryable,
    )
    return Answer(parts=(), ending=ending, ttft_ms=None)


def blocks_of(answer: Answer, run: Run, call_id: CallId, at: Moment) -> list[Block]:
    """The answer as the session keeps it; the same answer makes the same blocks."""
    made: list[Block] = []
    for number, part in enumerate(answer.parts):
        common: dict[str, Any] = {
            "id": BlockId(derived("blk_", call_id, number)),
            "session_id": run.session_id,
            "run_id": run.id,
            "call_id": call_id,
            "created_at": at,
        }
        match part:
            case TextOf(text=text, opaque=opaque):
                made.append(ResponseBlock(**common, content=(TextPart(text=text),), opaque=opaque))
            case ThinkingOf(text=text, opaque=opaque):
                made.append(ThinkingBlock(**common, content=(TextPart(text=text),), opaque=opaque))
            case CallPart(end=end):
                made.append(
                    ToolCallBlock(
                        **common,
                        tool_call_id=end.call_id,
                        name=end.name,
                        arguments=end.arguments,
                        arguments_state=end.arguments_state,
                        arguments_raw=end.arguments_raw if end.arguments_state != "ok" else None,
                        opaque=end.opaque,
                    )
                )
            case _:
                assert_never(part)
    return made
