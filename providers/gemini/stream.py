"""The answer of a generateContent stream: its frames in, canonical events out."""

import json
from collections.abc import Callable
from datetime import datetime

from protocol.block import Provenance
from protocol.model import (
    FinishReason,
    MessageStart,
    ModelEvent,
    ProviderRaw,
)
from protocol.noun import JSON, JSONObject
from protocol.usage import Usage
from providers import failures
from providers.assembly import Assembly
from providers.characters import Joiner, whole
from providers.gemini.calls import Calls
from providers.gemini.frames import NotAnAnswer, read_frame
from providers.gemini.hosted import HostedTools
from providers.gemini.request import Body
from providers.gemini.signatures import SIGNATURE, TOKEN, Signatures
from providers.gemini.sources import Sources
from providers.gemini.usage import usage_of
from providers.reader import Reader
from providers.refusals import Scrubber, Told, told_by

_FILTERED = (
    *("SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY"),
    *("IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "MODEL_ARMOR"),
)
_REASONS: dict[str, FinishReason] = {
    **dict.fromkeys(_FILTERED, "content_filter"),
    "STOP": "stop",
    "MAX_TOKENS": "length",
    "CONTINUATION": "pause",
}
_FAILED = {
    **dict.fromkeys(
        ("MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "MALFORMED_RESPONSE"), failures.OUTPUT_MALFORMED
    ),
    "MISSING_THOUGHT_SIGNATURE": failures.REPLAY_REJECTED,
}
_UNSAID = "FINISH_REASON_UNSPECIFIED"
_PARTS = {"text", "thought", SIGNATURE, "functionCall", "inlineData", "partMetadata"}
_ANSWERS = {"candidates", "promptFeedback", "usageMetadata", "responseId", "modelVersion"}
_CHUNK = _ANSWERS | {"createTime"}
_CANDIDATE = {
    *("content", "finishReason", "finishMessage", "index", "safetyRatings", "tokenCount", TOKEN),
    *("groundingMetadata", "citationMetadata", "urlContextMetadata"),
}


class GeminiAnswer(Reader):
    """A `providers.upstream.Answer` of generateContent."""

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
        self._show_reasoning = show_reasoning
        self._signatures = Signatures(provenance)
        self._assembly = Assembly(self._signatures.seal_reasoning, self._signatures.seal_text)
        self._calls = Calls(self._assembly, self._signatures, body.names, body.used_ids)
        self._hosted = HostedTools(self._assembly, self._signatures)
        self._sources = Sources()
        self._joiners = {"text": Joiner(), "reasoning": Joiner()}
        self._native: str | None = None
        self._detail: str | None = None
        self._blocked: str | None = None
        self._prose: str | None = None
        self._started = False
        self._doubled = False

    @property
    def _delivered(self) -> bool:
        return self._assembly.delivered

    @property
    def _has_reason(self) -> bool:
        return self._native is not None or self._blocked is not None

    def _objects(self, data: str) -> list[JSONObject]:
        chunks, self._doubled = read_frame(data)
        return chunks

    def _object(self, told: JSONObject, name: str) -> list[ModelEvent]:
        if name == "error":
            return self._told(told_by(told) or Told(json.dumps(told)))
        return self.chunk(told, doubled=self._doubled)

    def _done(self) -> list[ModelEvent]:
        return self._finish()

    def _unfinished(self) -> list[ModelEvent]:
        return self._finish()

    def _cut(self) -> list[ModelEvent]:
        return self._assembly.cut()

    def whole(self, body: JSON) -> list[ModelEvent]:
        """One answer, or without `alt=sse` a list of them."""
        try:
            chunks, doubled = read_frame(json.dumps(body))
        except (NotAnAnswer, RecursionError):
            return []
        if not any(chunk.keys() & _ANSWERS for chunk in chunks):
            return []
        out: list[ModelEvent] = []
        for chunk in chunks:
            out += [] if self.over else self.chunk(chunk, doubled=doubled)
        return out + self.last(None)

    def chunk(self, chunk: JSONObject, *, doubled: bool = False) -> list[ModelEvent]:
        """One GenerateContentResponse."""
        if chunk.get("error"):
            return self._told(told_by(chunk) or Told(json.dumps(chunk)))
        out: list[ModelEvent] = []
        if not self._started:
            self._started = True
            out.append(_message_start(chunk))
        out += self._counted(usage_of(chunk.get("usageMetadata")))
        feedback = chunk.get("promptFeedback")
        if isinstance(feedback, dict) and isinstance(feedback.get("blockReason"), str):
            self._blocked = self._scrubber.clean(str(feedback["blockReason"]))
            self.progress += 1
        candidates = chunk.get("candidates")
        for candidate in candidates if isinstance(candidates, list) else []:
            if not isinstance(candidate, dict):
                continue
            if candidate.get("index") not in (0, None):
                out += self._notice("extra_choice", "only the first candidate is used")
                continue
            out += self._candidate(candidate, doubled=doubled)
        return out + _raw(chunk, _CHUNK)

    def _candidate(self, candidate: JSONObject, *, doubled: bool) -> list[ModelEvent]:
        content = candidate.get("content")
        parts = content.get("parts") if isinstance(content, dict) else None
        out: list[ModelEvent] = []
        for part in parts if isinstance(parts, list) else []:
            if isinstance(part, dict):
                out += self._part(part, doubled=doubled)
        self.progress += len(out)
        if out and self._native is not None:
            out = self._notice("late_content", "content came after the finish reason") + out
        self._sources.take(candidate)
        token, native = candidate.get(TOKEN), candidate.get("finishReason")
        if isinstance(token, str) and token:
            self._signatures.token = token
        if isinstance(native, str) and native:
            self._end_of(native, candidate)
        return out + _raw(candidate, _CANDIDATE)

    def _end_of(self, native: str, candidate: JSONObject) -> None:
        """Of several reasons the last counts that says more than that it stopped."""
        self.progress += 1
        if self._native in (None, _UNSAID) or native not in ("STOP", _UNSAID):
            self._native = self._scrubber.clean(native)
        told = candidate.get("finishMessage")
        ratings = candidate.get("safetyRatings")
        blocking = [
            str(rating.get("category"))
            for rating in (ratings if isinstance(ratings, list) else [])
            if isinstance(rating, dict) and rating.get("blocked") is True
        ]
        detail = told if isinstance(told, str) and told else ", ".join(blocking)
        self._detail = self._scrubber.clean(detail) or self._detail

    def _part(self, part: JSONObject, *, doubled: bool) -> list[ModelEvent]:
        signature = part.get(SIGNATURE)
        signature = signature if isinstance(signature, str) and signature else None
        call, text, data = part.get("functionCall"), part.get("text"), part.get("inlineData")
        out: list[ModelEvent] = []
        if isinstance(call, dict):
            self.progress += 1
            out = self._closing() + self._calls.part(call, signature, doubled=doubled)
        elif self._hosted.takes(part):
            return self._closing() + self._hosted.part(part)
        elif isinstance(data, dict) and part.get("thought") is not True:
            out = self._media(data, signature)
        elif isinstance(text, str) or signature is not None:
            text = text if isinstance(text, str) else ""
            out = (
                self._thought(text, signature) if part.get("thought") is True else self._text(text, signature)
            )
        else:
            return _raw(part, set())
        return out + _raw(part, _PARTS)

    def _text(self, text: str, signature: str | None) -> list[ModelEvent]:
        """A signature without text belongs to whatever is open."""
        if not text and (signature is None or self._prose == "reasoning"):
            if signature is not None:
                self._signatures.thought({"text": "", SIGNATURE: signature})
            return []
        out = self._turn("text")
        text = self._joiners["text"].feed(text)
        self._chars += len(text)
        if text or signature is not None:
            out += self._assembly.text(text)
            self._signatures.text(len(text), signature)
        return out

    def _thought(self, text: str, signature: str | None) -> list[ModelEvent]:
        if not text and signature is None:
            return []
        out = self._turn("reasoning")
        text = self._joiners["reasoning"].feed(text)
        self._chars += len(text)
        out += self._assembly.reasoning(text, hidden=not self._show_reasoning)
        part: JSONObject = {"text": text, "thought": True}
        self._signatures.thought(part if signature is None else {**part, SIGNATURE: signature})
        return out

    def _media(self, data: JSONObject, signature: str | None) -> list[ModelEvent]:
        kind, raw = data.get("mimeType"), data.get("data")
        if not isinstance(raw, str) or not raw:
            return []
        out = self._closing()
        if signature is not None:
            out += self._notice("opaque_dropped", "the signature of a generated file has no place")
        kind = str(whole(kind)) if isinstance(kind, str) else "application/octet-stream"
        return out + self._assembly.media(kind, str(whole(raw)))

    def _turn(self, prose: str) -> list[ModelEvent]:
        """What was held back of the other kind comes first."""
        out = self._closing() if self._prose not in (None, prose) else []
        self._prose = prose
        return out

    def _closing(self) -> list[ModelEvent]:
        """The open text or reasoning ends, with what was held back because a character might have gone on."""
        out: list[ModelEvent] = []
        for kind, joiner in self._joiners.items():
            held = joiner.end()
            if held and kind == "text":
                out += self._assembly.text(held)
                self._signatures.text(len(held), None)
            elif held:
                out += self._assembly.reasoning(held, hidden=not self._show_reasoning)
                self._signatures.thought({"text": held, "thought": True})
            if joiner.damaged:
                out += self._notice("damaged_text", "a lone surrogate was replaced")
        self._prose = None
        return out + self._assembly.end_prose()

    def _finish(self) -> list[ModelEvent]:
        native = self._native
        if native is None and self._blocked is None:
            return self._truncated()
        if native in _FAILED:
            told = f"the model's answer is unusable: {self._detail or native}"
            return self._fail(_FAILED[native].told(told))
        reason = "content_filter" if native is None else _REASONS.get(native, "other")
        if reason == "stop" and self._calls.made:
            reason = "tool_calls"
        out: list[ModelEvent] = []
        if self._signatures.token is not None and self._prose is None:
            out += self._assembly.text("")
        out += self._closing()
        out += self._sources.told(self._assembly.text_block)
        out += self._calls.close(cut=reason == "length")
        out += self._hosted.close()
        return out + self._finished(
            reason, native, self._detail or (self._blocked if native is None else None)
        )


def _raw(wire: JSONObject, known: set[str]) -> list[ModelEvent]:
    """What we have no word for goes along as it came."""
    rest: JSONObject = {key: value for key, value in wire.items() if key not in known and value is not None}
    return [ProviderRaw(payload=whole(rest))] if rest else []


def _message_start(chunk: JSONObject) -> MessageStart:
    message_id, model, created = (
        whole(chunk.get("responseId")),
        whole(chunk.get("modelVersion")),
        chunk.get("createTime"),
    )
    try:
        at = datetime.fromisoformat(created) if isinstance(created, str) else None
    except ValueError:
        at = None
    return MessageStart(
        provider_message_id=message_id if isinstance(message_id, str) and message_id else None,
        model_reported=model if isinstance(model, str) and model else None,
        created_at=at if at is None or at.tzinfo else None,
    )
