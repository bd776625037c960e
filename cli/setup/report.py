"""What set-up says while it works."""

import json
import sys
import threading
import time
from typing import TextIO


class Report:
    """One line a fact: which part, what happens to it, why; as text or as JSON lines."""

    def __init__(self, stream: TextIO | None = None, *, as_json: bool) -> None:
        self._stream = stream or sys.stdout
        self._as_json = as_json
        self._started = time.monotonic()
        self._lock = threading.Lock()

    def say(self, part: str, text: str) -> None:
        seconds = time.monotonic() - self._started
        if self._as_json:
            line = json.dumps({"part": part, "text": text, "after_s": round(seconds, 1)})
        else:
            line = f"[{seconds:5.0f}s] {part:<9} {text}"
        with self._lock:
            print(line, file=self._stream, flush=True)


class SetupFailed(Exception):
    """A part of the set-up could not be made; the message says what to do about it."""

    def __init__(self, part: str, message: str) -> None:
        super().__init__(message)
        self.part = part
