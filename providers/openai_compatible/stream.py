"""The answer of a Chat Completions stream: its frames in, canonical events out."""

import json
from collections.abc import Callable

from protocol.block import Provenance
from protocol.model import (
    FinishReason,
    MessageStart,
    ModelEvent,
)
from protocol.noun import JSON, JSONObject
from protocol.usage import Usage
from providers.assembly import Assembly
from providers.characters import Joiner, whole
from providers.openai_compatible.calls import Calls
from providers.openai_compatible.reasoning import Reasoning
from providers.openai_compatible.request import Body
from providers.openai_compatible.think import Splitter
from providers.openai_compatible.usage import usage_of
from providers.reader import Reader, moment_of
from providers.refusals import Scrubber, Told, told_by

_REASONS: dict[str, FinishReason] = {
    **dict.fromkeys(("stop", "end_turn", "eos", "eos_token", "end", "stop_sequence"), "stop"),
    **dict.fromkeys(("length", "max_tokens", "max_output_tokens", "model_length"), "length"),
    **dict.fromkeys(("tool_calls", "tool_call", "tool_use", "function_call"), "tool_calls"),
    **dict.fromkeys(("content_filter", "safety"), "content_filter"),
    "refusal": "refusal",
    "model_context_window_exceeded": "context_overflow",
}


class ChatAnswer(Reader):
    """A `providers.upstream.Answer` of Chat Completions."""

    def __init__(
        self,
        body: Body,
        *,
        provenance: Provenance,
        scrubber: Scrubber,
        cost: Callable[[Usage], float | None],
        show_reasoning: bool,
        think_tags: bool,
    ) -> None:
        super().__init__(scrubber, sent_bytes=len(body.content), cost=cost)
        self._show_reasoning = show_reasoning
        self._reasoning = Reasoning(provenance)
        self._assembly = Assembly(self._reasoning.seal)
        self._calls = Calls(self._assembly, body.aliases, body.used_ids)
        self._splitter = Splitter() if think_tags else None
        self._joiners = {"text": Joiner(), "reasoning": Joiner(), "refusal": Joiner()}
        self._native: str | None = None
        self._refused = False
        self._spoke = False
        self._started = False

    @property
    def _delivered(self) -> bool:
        return self._assembly.delivered

    @property
    def _has_reason(self) -> bool:
        return self._native is not None

    def _object(self, told: JSONObject, name: str) -> list[ModelEvent]:
        if name == "error":
            return self._told(told_by(told) or Told(json.dumps(told)))
        return self.chunk(told)

    def _done(self) -> list[ModelEvent]:
        return self._finish(done=True)

    def _unfinished(self) -> list[ModelEvent]:
        return self._finish(done=False)

    def _cut(self) -> list[ModelEvent]:
        return self._assembly.cut()

    def chunk(self, chunk: JSONObject) -> list[ModelEvent]:
        """One `chat.completion.chunk`, or a whole `chat.completion` from a backend that does not stream."""
        if chunk.get("error") or chunk.get("object") == "error":
            return self._told(told_by(chunk) or Told(json.dumps(chunk)))
        out: list[ModelEvent] = []
        if not self._started:
            self._started = True
            out.append(_message_start(chunk))
        out += self._counted(usage_of(chunk.get("usage")))
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if not isinstance(choice, dict):
                continue
            if choice.get("index") not in (0, None):
                out += self._notice("extra_choice", "only the first choice is used")
                continue
            out += self._choice(choice)
            if self.over:
                break
        return out

    def whole(self, body: JSON) -> list[ModelEvent]:
        if not isinstance(body, dict) or not isinstance(body.get("choices"), list):
            return []
        return [*self.chunk(body), *self.last(None)]

    def _choice(self, choice: JSONObject) -> list[ModelEvent]:
        delta = choice.get("delta") or choice.get("message")
        out = self._delta(delta) if isinstance(delta, dict) else []
        if out and self._native is not None:
            out = self._notice("late_content", "content came after the finish reason") + out
        native = choice.get("finish_reason")
        if isinstance(native, str) and native:
            self.progress += 1
            if native == "error":
                return out + self._told(Told("the backend ended its answer with an error"))
            first = self._native
            if first is None or (_reason(native) == "tool_calls" and _reason(first) == "stop"):
                self._native = str(whole(native))
        return out

    def _delta(self, delta: JSONObject) -> list[ModelEvent]:
        out: list[ModelEvent] = []
        text = self._reasoning.text_of(delta)
        if text:
            out += self._reason_text(text)
        if self._reasoning.add_details(delta):
            out += self._assembly.reasoning("", hidden=not self._show_reasoning)
        content = delta.get("content")
        for part in content if isinstance(content, list) else [content]:
            out += self._content(part)
        refusal = delta.get("refusal")
        if isinstance(refusal, str) and refusal:
            out += self._refusal(self._joiners["refusal"].feed(refusal))
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                self.progress += 1
                out += self._calls.fragment(call)
        legacy = delta.get("function_call")
        if isinstance(legacy, dict):
            self.progress += 1
            out += self._calls.legacy(legacy)
        self.progress += len(out)
        return out

    def _content(self, part: JSON) -> list[ModelEvent]:
        """Text, or a part of a content list (Mistral's thinking comes so)."""
        if isinstance(part, dict):
            inner = part.get("thinking")
            if isinstance(inner, list):
                texts = [item.get("text") for item in inner if isinstance(item, dict)]
                return self._reason_text("".join(text for text in texts if isinstance(text, str)))
            part = part.get("text")
        if not isinstance(part, str) or not part:
            return []
        if self._splitter is None:
            return self._text(part)
        out: list[ModelEvent] = []
        for kind, piece in self._splitter.feed(part):
            out += self._text(piece) if kind == "text" else self._reason_text(piece)
        return out

    def _text(self, text: str) -> list[ModelEvent]:
        self._spoke = True
        text = self._joiners["text"].feed(text)
        self._chars += len(text)
        return self._assembly.text(text) if text else []

    def _reason_text(self, text: str) -> list[ModelEvent]:
        text = self._joiners["reasoning"].feed(text)
        self._chars += len(text)
        return self._assembly.reasoning(text, hidden=not self._show_reasoning) if text else []

    def _refusal(self, text: str) -> list[ModelEvent]:
        self._refused = True
        return self._assembly.refusal(text) if text else []

    def _rest(self) -> list[ModelEvent]:
        """What was held back because a character or a tag might have gone on."""
        out: list[ModelEvent] = []
        for kind, piece in self._splitter.end() if self._splitter else []:
            out += self._text(piece) if kind == "text" else self._reason_text(piece)
        for kind, joiner in self._joiners.items():
            held = joiner.end()
            if held and kind == "text":
                out += self._assembly.text(held)
            elif held and kind == "reasoning":
                out += self._assembly.reasoning(held, hidden=not self._show_reasoning)
            elif held:
                out += self._refusal(held)
            if joiner.damaged:
                out += self._notice("damaged_text", "a lone surrogate was replaced")
        return out

    def _finish(self, *, done: bool) -> list[ModelEvent]:
        out = self._rest()
        native = self._native
        reason = None if native is None else _reason(native)
        if reason is None and done and (self._spoke or self._calls) and self._calls.parse():
            reason = "stop"
            out += self._notice("missing_finish_reason", "the reason was inferred")
        if reason is None:
            return out + self._truncated()
        if self._calls and reason == "stop":
            reason = "tool_calls"
        elif reason == "tool_calls" and not self._calls:
            reason = "stop"
            out += self._notice("no_tool_calls", "the finish reason named tool calls, but there are none")
        if self._refused and reason in ("stop", "content_filter"):
            reason = "refusal"
        out += self._assembly.end_prose()
        out += self._calls.close(cut=reason == "length")
        return out + self._finished(reason, native)


def _reason(native: str) -> FinishReason:
    return _REASONS.get(native.lower().replace("-", "_"), "other")


def _message_start(chunk: JSONObject) -> MessageStart:
    message_id, model = whole(chunk.get("id")), whole(chunk.get("model"))
    return MessageStart(
        provider_message_id=message_id if isinstance(message_id, str) and message_id else None,
        model_reported=model if isinstance(model, str) and model else None,
        created_at=moment_of(chunk.get("created")),
    )
