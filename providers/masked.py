"""A model's answer without the credential that it was asked with: a backend may echo it."""

from collections.abc import AsyncGenerator, AsyncIterator

from protocol.mask import SHORTEST, Mask, Masking
from protocol.model import (
    Citation,
    Finish,
    ModelEvent,
    ProviderRaw,
    ReasoningDelta,
    ReasoningEnd,
    RefusalDelta,
    ServerToolEnd,
    StreamError,
    TextDelta,
    TextEnd,
    ToolCallDelta,
    ToolCallEnd,
)

Delta = TextDelta | ReasoningDelta | RefusalDelta | ToolCallDelta


async def masked(events: AsyncIterator[ModelEvent], secret: str) -> AsyncGenerator[ModelEvent, None]:
    """What is told of a block in pieces is, all together, what its end tells."""
    answer = _Answer(secret) if len(secret) >= SHORTEST else None
    async for event in events:
        for told in answer.take(event) if answer else [event]:
            yield told


class _Open:
    """A block of which pieces were told; `last` is the newest as it came."""

    def __init__(self, secret: str) -> None:
        self._masking = Masking([secret])
        self._last: Delta | None = None
        self.told = ""

    def piece(self, event: Delta) -> list[ModelEvent]:
        self._last = event
        return self._tell(self._masking.piece(_text(event)))

    def rest(self) -> list[ModelEvent]:
        return self._tell(self._masking.rest())

    def _tell(self, text: str) -> list[ModelEvent]:
        if not text or self._last is None:
            return []
        self.told += text
        if text == _text(self._last):
            return [self._last]
        field = "arguments" if isinstance(self._last, ToolCallDelta) else "text"
        return [self._last.model_copy(update={field: text})]


class _Answer:
    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._mask = Mask(secret)
        self._open: dict[int, _Open] = {}

    def take(self, event: ModelEvent) -> list[ModelEvent]:
        match event:
            case TextDelta() | ReasoningDelta() | RefusalDelta() | ToolCallDelta():
                block = self._open.get(event.block)
                if block is None:
                    block = self._open[event.block] = _Open(self._secret)
                return block.piece(event)
            case TextEnd() | ReasoningEnd() | ToolCallEnd():
                return self._end(event)
            case Finish() | StreamError():
                return [*(told for block in self._open.values() for told in block.rest()), event]
            case Citation() | ServerToolEnd() | ProviderRaw():
                known = event.model_dump_json()
                clean = self._mask.out_of(known)
                return [event if clean == known else type(event).model_validate_json(clean)]
            case _:
                return [event]

    def _end(self, event: TextEnd | ReasoningEnd | ToolCallEnd) -> list[ModelEvent]:
        block = self._open.pop(event.block, None)
        rest = block.rest() if block else []
        known = event.model_dump_json()
        clean = self._mask.out_of(known)
        if clean == known:
            return [*rest, event]
        end = type(event).model_validate_json(clean)
        if block is not None and block.told and not isinstance(end, ToolCallEnd):
            end = end.model_copy(update={"text": block.told})
        return [*rest, end]


def _text(event: Delta) -> str:
    return event.arguments if isinstance(event, ToolCallDelta) else event.text
