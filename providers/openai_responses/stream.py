"""The answer of a Responses stream: its frames in, canonical events out."""

import base64
import binascii
import json
from collections.abc import Callable

from protocol.model import (
    FinishReason,
    Heartbeat,
    Media,
    MessageStart,
    ModelEvent,
    Notice,
    ProviderRaw,
)
from protocol.noun import JSON, JSONObject
from protocol.usage import Usage
from providers.characters import whole
from providers.openai_responses.output import Output
from providers.openai_responses.scene import Scene, dict_in, dicts_in, text_in
from providers.openai_responses.usage import usage_of
from providers.reader import Reader, moment_of
from providers.refusals import Scrubber, Told, told_by

_ENDS = {
    "response.completed": "completed",
    "response.incomplete": "incomplete",
    "response.failed": "failed",
    "response.cancelled": "cancelled",
}
_ALIVE = {"response.queued", "response.in_progress"}
_HOSTED = tuple(
    f"response.{name}"
    for name in ("web_search_", "file_search_", "code_interpreter_", "image_generation_", "mcp_", "shell_")
)
_INCOMPLETE: dict[str, FinishReason] = {
    "max_output_tokens": "length",
    "max_messages": "length",
    "content_filter": "content_filter",
    "steered": "steered",
}
_STATUSES: dict[str, FinishReason] = {"completed": "stop", "cancelled": "cancelled"}


class ResponsesAnswer(Reader):
    """A `providers.upstream.Answer` of Responses."""

    def __init__(
        self, scene: Scene, *, sent_bytes: int, scrubber: Scrubber, cost: Callable[[Usage], float | None]
    ) -> None:
        super().__init__(scrubber, sent_bytes=sent_bytes, cost=cost)
        self._scene = scene
        self._output = Output(scene)
        self._started = False
        self._sound: list[str] = []

    @property
    def _delivered(self) -> bool:
        return self._scene.blocks > 0

    def _object(self, told: JSONObject, name: str) -> list[ModelEvent]:
        return self._event(text_in(told, "type") or (name if name != "message" else ""), told)

    def _unfinished(self) -> list[ModelEvent]:
        return self._truncated()

    def _cut(self) -> list[ModelEvent]:
        return self._output.cut()

    def whole(self, body: JSON) -> list[ModelEvent]:
        if not isinstance(body, dict) or not isinstance(body.get("output"), list):
            return []
        return self._begin(body) + self._end(text_in(body, "status") or "completed", body)

    def _event(self, name: str, event: JSONObject) -> list[ModelEvent]:
        if name == "error" or (event.get("error") and not name.startswith("response.")):
            return self._told(told_by(event) or Told(json.dumps(event)))
        response = dict_in(event, "response")
        out = self._begin(response)
        if name in _ENDS:
            return out + self._end(text_in(response, "status") or _ENDS[name], response)
        if name == "response.created":
            return out
        if name in _ALIVE:
            return [*out, Heartbeat()]
        self.progress += 1
        told = self._output.take(name, event)
        if told is not None:
            return out + told
        if name.startswith("response.audio."):
            return out + self._audio(name, event)
        if name == "response.compaction.compacting":
            return [*out, Notice(code="compaction", detail="the vendor compacts what came before")]
        return [*out, Heartbeat() if name.startswith(_HOSTED) else ProviderRaw(payload=whole(event))]

    def _audio(self, name: str, event: JSONObject) -> list[ModelEvent]:
        """Sound is told whole; its transcript is text like any other."""
        if "transcript" in name:
            kind = name.rpartition(".")[2]
            item: JSONObject = {"item_id": "transcript", "delta": event.get("delta")}
            return self._output.take(f"response.output_text.{kind}", item) or []
        if name.endswith(".delta"):
            self._sound.append(text_in(event, "delta"))
            return []
        pieces, self._sound = self._sound, []
        try:
            data = b"".join(base64.b64decode(piece, validate=True) for piece in pieces)
        except (binascii.Error, ValueError):
            return [Notice(code="damaged_sound", detail="the sound is not Base64 and was left out")]
        if not data:
            return []
        block = self._scene.take()
        return [
            Media(block=block, media_type="application/octet-stream", data=base64.b64encode(data).decode())
        ]

    def _begin(self, response: JSONObject) -> list[ModelEvent]:
        if self._started:
            return []
        self._started = True
        return [_message_start(response)]

    def _end(self, status: str, response: JSONObject) -> list[ModelEvent]:
        if status in ("queued", "in_progress"):
            return self._truncated()
        out = self._counted(usage_of(response.get("usage")))
        if status == "failed":
            failed = Told("the backend ended its answer with an error")
            return out + self._told(told_by({"error": response.get("error")}) or failed)
        for removed in dicts_in(response, "input_transformations"):
            told = f"the vendor left reasoning out: {text_in(removed, 'reason') or 'no reason'}"
            out.append(Notice(code="opaque_dropped", detail=str(whole(told))))
        out += self._output.close(response, cut=status == "incomplete")
        detail = str(whole(text_in(response.get("incomplete_details"), "reason"))) or None
        self._chars = self._scene.chars
        return out + self._finished(self._reason(status, detail), str(whole(status)), detail)

    def _reason(self, status: str, detail: str | None) -> FinishReason:
        if status == "incomplete":
            reason = _INCOMPLETE.get(detail or "", "other")
        else:
            reason = _STATUSES.get(status, "other")
        if reason == "stop" and self._scene.calls:
            return "tool_calls"
        if reason in ("stop", "content_filter") and self._scene.refusal is not None:
            return "refusal"
        return reason


def _message_start(response: JSONObject) -> MessageStart:
    return MessageStart(
        provider_message_id=str(whole(text_in(response, "id"))) or None,
        model_reported=str(whole(text_in(response, "model"))) or None,
        created_at=moment_of(response.get("created_at")),
    )
