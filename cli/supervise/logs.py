"""The log of one child: a file that is set aside when it grows too long."""

import sys
from contextlib import suppress
from pathlib import Path

LONGEST = 16 * 1024 * 1024
KEPT = 3


class Log:
    """Appends bytes; a file longer than `longest` becomes `name.log.1` at the end of a line."""

    def __init__(self, path: Path, *, longest: int = LONGEST, shown: bool = False) -> None:
        self.path = path
        self._longest = longest
        self._shown = shown
        self._file = path.open("ab", buffering=0)

    def write(self, chunk: bytes) -> None:
        """What a full disk does not take is lost: a child whose log ends would end with it."""
        with suppress(OSError):
            self._file.write(chunk)
        if self._shown:
            sys.stderr.buffer.write(chunk)
            sys.stderr.flush()
        if chunk.endswith(b"\n") and self._file.tell() > self._longest:
            self._set_aside()

    def close(self) -> None:
        self._file.close()

    def tail(self, lines: int = 15) -> str:
        return "\n".join(self.path.read_text(errors="replace").splitlines()[-lines:])

    def _set_aside(self) -> None:
        self._file.close()
        for number in range(KEPT, 0, -1):
            older = self._numbered(number - 1) if number > 1 else self.path
            if older.exists():
                older.replace(self._numbered(number))
        self._file = self.path.open("ab", buffering=0)

    def _numbered(self, number: int) -> Path:
        return self.path.with_name(f"{self.path.name}.{number}")
