"""Named points at which a test may stop this process dead: how crashes between two writes are proven.

A directory is given in the settings; a file `<point>` in it arms the point, optionally with words that the
context must hold. Firing renames the file to `<point>.fired`, so a test can assert that the fault happened,
then sends SIGKILL to the process itself. Without the setting nothing here does anything.
"""

import os
import signal
from pathlib import Path
from typing import Literal

Point = Literal[
    "after_intent",
    "after_claim",
    "after_effect",
    "before_result",
    "before_event",
    "before_completion",
    "during_approval",
    "after_edit",
]


class Failpoints:
    """The armed points of one process."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory

    def reach(self, point: Point, context: str = "") -> None:
        if self._directory is None:
            return
        armed = self._directory / point
        try:
            words = armed.read_text().split()
        except FileNotFoundError:
            return
        if all(word in context for word in words):
            armed.rename(armed.with_suffix(".fired"))
            os.kill(os.getpid(), signal.SIGKILL)
