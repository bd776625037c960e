"""Server-sent events as a client reads them (WHATWG HTML, 9.2.6): with ids, which resume a broken stream."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Message:
    """One dispatched event. `id` is the last one the stream named, in this event or in an earlier one."""

    data: str
    event: str = "message"
    id: str = ""


class EventStream:
    """Incremental over bytes cut anywhere: lines end in LF, CR or CRLF, never inside a character."""

    def __init__(self) -> None:
        self.retry_ms: int | None = None
        self.last_event_id = ""
        self._rest = b""
        self._first = True
        self._after_cr = False
        self._id = ""
        self._event = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[Message]:
        """The events that these bytes complete. An event that is not ended by an empty line never counts."""
        for line in self._lines(chunk):
            if line:
                self._field(line)
                continue
            self.last_event_id = self._id
            if self._data:
                yield Message("\n".join(self._data), self._event or "message", self._id)
            self._data, self._event = [], ""

    def _lines(self, chunk: bytes) -> Iterator[str]:
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        if chunk.endswith(b"\r"):
            # Its LF may come with the next bytes; the line itself is complete.
            self._after_cr = True
        *lines, self._rest = (self._rest + chunk).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            if self._first:
                line = line.removeprefix(b"\xef\xbb\xbf")
                self._first = False
            yield line.decode("utf-8", errors="replace")

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry_ms = int(value)
            case _:
                pass
