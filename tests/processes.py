"""Real processes for tests: each has a log, can be killed, stopped and continued, and dies with the tests."""

import asyncio
import os
import select
import signal
import subprocess
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Process:
    """One that runs already, whoever started it."""

    def __init__(self, pid: int, log: Path) -> None:
        self.pid = pid
        self.log = log
        self._handle = os.pidfd_open(pid)
        weakref.finalize(self, os.close, self._handle)

    @property
    def ended(self) -> bool:
        return self._ends_within(0)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        assert self._ends_within(30), f"process {self.pid} survives SIGKILL"

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    async def stop(self, within: float = 60) -> None:
        """SIGTERM, and the time to drain."""
        self._signal(signal.SIGTERM)
        await until(lambda: self.ended, within, f"process {self.pid} does not end")

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def _ends_within(self, seconds: float) -> bool:
        end = select.poll()
        end.register(self._handle, select.POLLIN)
        return bool(end.poll(seconds * 1000))


class Program(Process):
    """A command line whose output goes to a file."""

    def __init__(self, argv: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        with log.open("ab") as file:
            self._child = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *argv],
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
            )
        super().__init__(self._child.pid, log)

    def kill(self) -> None:
        super().kill()
        self._child.wait()


async def until(condition: Callable[[], T], within: float, what: str, pause: float = 0.02) -> T:
    """The first true answer of a condition that is asked again and again; a deadline is a failed test."""
    deadline = time.monotonic() + within
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"{what} (within {within} s)"
        await asyncio.sleep(pause)
