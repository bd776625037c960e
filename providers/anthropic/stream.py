"""The answer of a Messages stream: its frames in, canonical events out."""

import json
from collections.abc import Callable

from pydantic import ValidationError

from protocol.block import Provenance
from protocol.model import (
    FinishReason,
    Heartbeat,
    MessageStart,
    ModelEvent,
    Notice,
    ProviderRaw,
    ReasoningDelta,
    TextDelta,
    ToolCallDelta,
    UsageSnapshot,
)
from protocol.noun import JSON, JSONObject
from protocol.usage import Usage
from providers import failures
from providers.anthropic.blocks import text_of
from providers.anthropic.content import Content
from providers.anthropic.request import Body
from providers.anthropic.usage import Counts
from providers.characters import whole
from providers.reader import Reader
from providers.refusals import Scrubber, Told, told_by

_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "pause_turn": "pause",
    "refusal": "refusal",
    "model_context_window_exceeded": "context_overflow",
    "compaction": "compaction",
}


class MessagesAnswer(Reader):
    """A `providers.upstream.Answer` of the Messages API."""

    def __init__(
        self,
        body: Body,
        *,
        provenance: Provenance,
        scrubber: Scrubber,
        cost: Callable[[Usage], float | None],
        show_reasoning: bool,
    ) -> None:
        super().__init__(scrubber, sent_bytes=len(body.content), cost=cost)
        self._content = Content(provenance, body.aliases, body.used_ids, shown=show_reasoning)
        self._counts = Counts()
        self._native: str | None = None
        self._detail: str | None = None
        self._last_index: object = None
        self._started = False

    @property
    def _delivered(self) -> bool:
        return self._content.began

    @property
    def _has_reason(self) -> bool:
        return self._native is not None

    def _cut(self) -> list[ModelEvent]:
        out = self._heard(self._content.end("cut"))
        self._reckon()
        return out

    def whole(self, body: JSON) -> list[ModelEvent]:
        """A body is what its stream would have said."""
        if not isinstance(body, dict) or not isinstance(body.get("content"), list):
            return []
        events: list[JSONObject] = [{"type": "message_start", "message": body}]
        content = body["content"]
        for index, block in enumerate(content if isinstance(content, list) else []):
            events.append({"type": "content_block_start", "index": index, "content_block": block})
            events.append({"type": "content_block_stop", "index": index})
        edits = body.get("context_management")
        events.append({"type": "message_delta", "delta": body, "context_management": edits})
        events.append({"type": "message_stop"})
        out: list[ModelEvent] = []
        for event in events:
            out += [] if self.over else self._object(event, "message")
        return out

    def _object(self, told: JSONObject, name: str) -> list[ModelEvent]:
        try:
            return self._event(text_of(told, "type") or name, told)
        except (RecursionError, ValidationError):
            return self._fail(failures.PROTOCOL_VIOLATION.told("a frame is nested too deep"))

    def _event(self, kind: str, event: JSONObject) -> list[ModelEvent]:
        """What is not known, and what is not in its place, is handed on raw."""
        inner = {"message_start": "message", "content_block_start": "content_block"}.get(kind, "delta")
        wire = event.get(inner)
        wire = wire if isinstance(wire, dict) else {}
        if kind == "ping":
            return [Heartbeat()]
        if kind == "error" or (event.get("error") and not text_of(event, "type")):
            return self._told(told_by(event) or Told(json.dumps(event)), text_of(event, "request_id"))
        if kind == "message_start":
            return self._start(event, wire)
        if kind == "message_delta":
            return self._end_of_message(event, wire)
        if kind == "message_stop":
            return self._finish() if self._native is not None else self._unfinished()
        if kind == "content_block_stop":
            return self._heard(self._content.stop(self._index(event)))
        out: list[ModelEvent] = []
        told = None
        if kind == "content_block_start":
            self._last_index = event.get("index") if _is_index(event.get("index")) else object()
            out += self._heard(self._content.stop(self._last_index))
            told = self._content.start(self._last_index, wire)
        elif kind == "content_block_delta":
            told = self._content.delta(self._index(event), wire)
        return [*out, ProviderRaw(payload=whole(event))] if told is None else out + self._heard(told)

    def _start(self, event: JSONObject, message: JSONObject) -> list[ModelEvent]:
        self._counts.take(message.get("usage"))
        if self._started:
            return [ProviderRaw(payload=whole(event))]
        self._started = True
        message_id, model = whole(message.get("id")), whole(message.get("model"))
        start = MessageStart(
            provider_message_id=message_id if isinstance(message_id, str) and message_id else None,
            model_reported=model if isinstance(model, str) and model else None,
        )
        self._reckon()
        return [start] if self._usage is None else [start, UsageSnapshot(usage=self._usage)]

    def _end_of_message(self, event: JSONObject, delta: JSONObject) -> list[ModelEvent]:
        self._counts.take(event.get("usage"))
        out: list[ModelEvent] = []
        native = text_of(delta, "stop_reason")
        if native:
            self.progress += 1
            self._native = str(whole(native))
            details = delta.get("stop_details")
            details = details if isinstance(details, dict) else {}
            detail = text_of(delta, "stop_sequence") or text_of(details, "category")
            self._detail = str(whole(detail)) or None
            told = str(whole(text_of(details, "explanation")))
            out += self._notice("refusal", self._scrubber.clean(told)) if told else []
        edits = event.get("context_management")
        if isinstance(edits, dict) and edits.get("applied_edits"):
            out += self._notice("context_edited", "the backend left out parts of the history")
        if isinstance(delta.get("container"), dict):
            out.append(ProviderRaw(payload=whole({"container": delta["container"]})))
        return out

    def _index(self, event: JSONObject) -> object:
        """A block that is not named is the one that began last."""
        index = event.get("index")
        return index if _is_index(index) else self._last_index

    def _heard(self, events: list[ModelEvent]) -> list[ModelEvent]:
        out: list[ModelEvent] = []
        for event in events:
            if isinstance(event, Notice) and event.code == "damaged_text":
                out += self._notice(event.code, event.detail)
                continue
            if isinstance(event, TextDelta | ReasoningDelta):
                self._chars += len(event.text)
            elif isinstance(event, ToolCallDelta):
                self._chars += len(event.arguments)
            out.append(event)
        self.progress += len(out)
        return out

    def _unfinished(self) -> list[ModelEvent]:
        """The stream ended without its last frame: an answer whose reason was told is whole."""
        if self._native is None:
            return self._truncated()
        told = self._notice("missing_terminator", "the stream ended without message_stop")
        return told + self._finish()

    def _finish(self) -> list[ModelEvent]:
        assert self._native is not None
        reason = _REASONS.get(self._native, "other")
        by_itself = reason in ("stop", "tool_calls", "other")
        out = self._heard(self._content.end("finished" if by_itself else "limited"))
        if reason == "stop" and self._content.called:
            reason = "tool_calls"
        elif reason == "tool_calls" and not self._content.called:
            reason = "stop"
            out += self._notice("no_tool_calls", "the stop reason named a tool call, but there is none")
        self._reckon()
        return out + self._finished(reason, self._native, self._detail)

    def _reckon(self) -> None:
        """The counts so far; one that was not said yet is estimated of what came until now."""
        if self._counts:
            self._usage = self._counts.usage(self._sent_bytes, self._chars)


def _is_index(value: JSON) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
