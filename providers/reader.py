"""What the readers of all dialects share: frames as objects, notices told once, and how an answer fails."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime

from protocol.digest import digest_bytes
from protocol.model import Finish, FinishReason, Heartbeat, ModelEvent, Notice, StreamError, UsageSnapshot
from protocol.noun import JSON, JSONObject
from protocol.sse import Comment, Frame
from protocol.usage import Usage
from providers import failures
from providers.counts import estimated
from providers.refusals import Scrubber, Told, failure_of, told_by


class NotAnAnswer(ValueError):
    """The data of a frame is no JSON object, or nests deeper than anybody means."""


class Reader(ABC):
    """A `providers.upstream.Answer` but for the words of its dialect."""

    def __init__(self, scrubber: Scrubber, *, sent_bytes: int, cost: Callable[[Usage], float | None]) -> None:
        self.over = False
        self.progress = 0
        self._scrubber = scrubber
        self._sent_bytes = sent_bytes
        self._cost = cost
        self._usage: Usage | None = None
        self._chars = 0
        self._noticed: set[str] = set()

    @abstractmethod
    def _object(self, told: JSONObject, name: str) -> list[ModelEvent]:
        """One object of the stream; `name` is what its frame is called."""

    @abstractmethod
    def _unfinished(self) -> list[ModelEvent]:
        """The stream ended without a last word: what was told so far may be whole all the same."""

    @abstractmethod
    def _cut(self) -> list[ModelEvent]:
        """Whatever is open ends truncated."""

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

    def _counted(self, counted: tuple[Usage, bool] | None) -> list[ModelEvent]:
        """A newer count of tokens, and whether it had to be clamped."""
        if counted is None:
            return []
        self._usage, clamped = counted
        told = "more cached tokens than input tokens were reported"
        return self._notice("usage_clamped", told) if clamped else []

    def _finished(
        self, reason: FinishReason, native: str | None, detail: str | None = None
    ) -> list[ModelEvent]:
        """The last two events of an answer that ended by itself."""
        usage = self._usage or estimated(self._sent_bytes, self._chars)
        self.over = True
        finish = Finish(
            reason=reason,
            native_reason=native,
            native_detail=detail,
            usage=usage,
            cost_usd=self._cost(usage),
        )
        return [UsageSnapshot(usage=usage, final=True), finish]

    def _fail(self, failure: StreamError) -> list[ModelEvent]:
        out = self._cut()
        if self._usage is not None:
            out.append(UsageSnapshot(usage=self._usage))
        self.over = True
        return [*out, failure.model_copy(update={"partial": self._delivered})]

    def _notice(self, code: str, detail: str) -> list[ModelEvent]:
        if code in self._noticed:
            return []
        self._noticed.add(code)
        return [Notice(code=code, detail=detail)]


def moment_of(seconds: JSON) -> datetime | None:
    """A Unix time as backends tell it; None for what is none."""
    try:
        return datetime.fromtimestamp(seconds, UTC) if isinstance(seconds, int | float) and seconds else None
    except (ValueError, OverflowError, OSError):
        return None


def _error_in(data: str) -> Told:
    try:
        return told_by(json.loads(data)) or Told(data)
    except (ValueError, RecursionError):
        return Told(data)
