"""Real processes for tests: each has a log, can be killed, stopped and continued, and dies with the tests."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Process:
    """A running program whose output goes to a file."""

    def __init__(self, argv: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        self.pid = self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait(10)

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def stop(self, within: float = 20) -> None:
        """SIGTERM, and the time to drain."""
        self._signal(signal.SIGTERM)
        await until(lambda: self.ended, within, f"process {self.pid} does not end")

    def _signal(self, number: signal.Signals) -> None:
        if not self.ended:
            os.kill(self.pid, number)


async def until(condition: Callable[[], T], within: float, what: str, pause: float = 0.02) -> T:
    """The first true answer of a condition that is asked again and again; a deadline is a failed test."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} (within {within} s)"
        await asyncio.sleep(pause)
