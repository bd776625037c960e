"""Server-sent events, read from bytes in whatever pieces they arrive (WHATWG HTML, 9.2)."""

from dataclasses import dataclass

FRAME_LIMIT = 8 * 1024 * 1024


class FrameTooLong(ValueError):
    """One frame is longer than the limit."""


@dataclass(frozen=True)
class Frame:
    """One dispatched event; `id` is the last one named, `damaged` tells of bytes that were not UTF-8."""

    data: str
    event: str = "message"
    id: str = ""
    damaged: bool = False


@dataclass(frozen=True)
class Comment:
    """A comment line: a sign of life without content."""


class Parser:
    """Incremental. Lines end in LF, CR or CRLF, so splitting at them never cuts a UTF-8 sequence."""

    def __init__(self, *, limit: int = FRAME_LIMIT) -> None:
        self._limit = limit
        self._rest = bytearray()
        self._searched = 0
        self._after_cr = False
        self._first_line = True
        self._size = 0
        self._event = ""
        self._id = ""
        self._data: list[str] = []
        self._damaged = False

    def feed(self, chunk: bytes) -> list[Frame | Comment]:
        """What became complete with these bytes."""
        if self._after_cr and chunk:
            chunk = chunk.removeprefix(b"\n")
            self._after_cr = False
        self._rest += chunk
        out: list[Frame | Comment] = []
        start = 0
        while (end := self._line_end(max(start, self._searched))) >= 0:
            line = bytes(self._rest[start:end])
            start = end + 1
            if self._rest[end] == 0x0D:
                if start == len(self._rest):
                    self._after_cr = True
                elif self._rest[start] == 0x0A:
                    start += 1
            self._take(line, out)
        del self._rest[:start]
        self._searched = len(self._rest)
        if self._size + len(self._rest) > self._limit:
            raise FrameTooLong(f"a frame is longer than {self._limit} bytes")
        return out

    def end(self) -> Frame | None:
        """The frame that the stream ended in; the standard drops it, some backends mean it."""
        out: list[Frame | Comment] = []
        if self._rest:
            self._take(bytes(self._rest), out)
            self._rest.clear()
        self._take(b"", out)
        return next((frame for frame in out if isinstance(frame, Frame)), None)

    def _line_end(self, start: int) -> int:
        lf = self._rest.find(b"\n", start)
        cr = self._rest.find(b"\r", start) if lf < 0 else self._rest.find(b"\r", start, lf)
        return cr if cr >= 0 else lf

    def _take(self, raw: bytes, out: list[Frame | Comment]) -> None:
        if self._first_line:
            raw = raw.removeprefix(b"\xef\xbb\xbf")
            self._first_line = False
        if not raw:
            self._dispatch(out)
            return
        self._size += len(raw)
        if self._size > self._limit:
            raise FrameTooLong(f"a frame is longer than {self._limit} bytes")
        if raw.startswith(b":"):
            self._size -= len(raw)
            out.append(Comment())
            return
        name, _, value = raw.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(self._text(value))
        elif name == b"event":
            self._event = self._text(value)
        elif name == b"id" and b"\0" not in value:
            self._id = self._text(value)

    def _dispatch(self, out: list[Frame | Comment]) -> None:
        if self._data:
            out.append(Frame("\n".join(self._data), self._event or "message", self._id, self._damaged))
        self._event, self._data, self._damaged, self._size = "", [], False, 0

    def _text(self, raw: bytes) -> str:
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self._damaged = True
            return raw.decode("utf-8", errors="replace")
