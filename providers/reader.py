"""What the readers of all dialects share: frames as objects, notices told once, and how an answer fails."""

import json
from abc import ABC, abstractmethod

from protocol.digest import digest_bytes
from protocol.model import Heartbeat, ModelEvent, Notice, StreamError
from protocol.noun import JSONObject
from protocol.sse import Comment, Frame
from providers import failures
from providers.refusals import Scrubber, Told, failure_of, told_by


class NotAnAnswer(ValueError):
    """The data of a frame is no JSON object, or nests deeper than anybody means."""


class Reader(ABC):
    """A `providers.upstream.Answer` but for the words of its dialect."""

    def __init__(self, scrubber: Scrubber) -> None:
        self.over = False
        self.progress = 0
        self._scrubber = scrubber
        self._noticed: set[str] = set()

    @abstractmethod
    def _object(self, told: JSONObject, name: str) -> list[ModelEvent]:
        """One object of the stream; `name` is what its frame is called."""

    @abstractmethod
    def _unfinished(self) -> list[ModelEvent]:
        """The stream ended without a last word: what was told so far may be whole all the same."""

    @abstractmethod
    def _cut(self) -> list[ModelEvent]:
        """Whatever is open ends truncated; the last count of tokens comes with it."""

    @property
    @abstractmethod
    def _delivered(self) -> bool:
        """Whether anything of the answer was told."""

    @property
    def _has_reason(self) -> bool:
        """Whether the answer has said why it ends."""
        return False

    def _objects(self, data: str) -> list[JSONObject]:
        """What stands in one frame; raises NotAnAnswer."""
        try:
            told = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise NotAnAnswer(str(error)) from error
        if not isinstance(told, dict):
            raise NotAnAnswer("it is not an object")
        return [told]

    def _done(self) -> list[ModelEvent]:
        """`[DONE]`, which not every dialect means."""
        return []

    def take(self, frame: Frame | Comment) -> list[ModelEvent]:
        """One frame of the stream."""
        if self.over:
            return []
        if isinstance(frame, Comment):
            return [Heartbeat()]
        data = frame.data.strip()
        if not data:
            return []
        out = self._notice("damaged_text", "bytes that are not UTF-8 were replaced") if frame.damaged else []
        if data == "[DONE]":
            return out + self._done()
        try:
            objects = self._objects(data)
        except NotAnAnswer:
            return out + (self._told(_error_in(data)) if frame.event == "error" else self._violated(data))
        for told in objects:
            out += [] if self.over else self._object(told, frame.event)
        return out

    def last(self, frame: Frame | None) -> list[ModelEvent]:
        out: list[ModelEvent] = []
        if frame is not None and not self.over and self._is_readable(frame.data.strip()):
            out += self.take(frame)
        return out if self.over else out + self._unfinished()

    def broke(self, failure: StreamError) -> list[ModelEvent]:
        if self.over:
            return []
        return self._unfinished() if self._has_reason else self._fail(failure)

    def _is_readable(self, data: str) -> bool:
        try:
            return data == "[DONE]" or bool(self._objects(data))
        except NotAnAnswer:
            return False

    def _told(self, told: Told, request_id: str = "") -> list[ModelEvent]:
        """The backend says that it failed."""
        headers = {"request-id": request_id} if request_id else {}
        return self._fail(failure_of(told, None, self._scrubber, headers=headers))

    def _violated(self, data: str) -> list[ModelEvent]:
        digest = digest_bytes(data.encode("utf-8", errors="replace"))
        return self._fail(failures.PROTOCOL_VIOLATION.told(f"a frame is not a JSON object ({digest})"))

    def _truncated(self) -> list[ModelEvent]:
        return self._fail(failures.STREAM_TRUNCATED.told("the stream ended before the answer did"))

    def _fail(self, failure: StreamError) -> list[ModelEvent]:
        out = self._cut()
        self.over = True
        return [*out, failure.model_copy(update={"partial": self._delivered})]

    def _notice(self, code: str, detail: str) -> list[ModelEvent]:
        if code in self._noticed:
            return []
        self._noticed.add(code)
        return [Notice(code=code, detail=detail)]


def _error_in(data: str) -> Told:
    try:
        return told_by(json.loads(data)) or Told(data)
    except (ValueError, RecursionError):
        return Told(data)
