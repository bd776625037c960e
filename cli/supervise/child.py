"""One child process: its output goes to a log, its end is an event, and it never outlives its supervisor."""

import asyncio
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from cli.supervise.logs import Log

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Program:
    """What a child runs, and how many seconds it gets to end by itself when it is told to."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    grace: float = 15.0


class Child:
    """A running program. It ends with the thread that started it: let that be the main one."""

    def __init__(self, program: Program, log: Log) -> None:
        self._loop = asyncio.get_running_loop()
        read, write = os.pipe()
        try:
            self._process = subprocess.Popen(
                program.argv,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=write,
                stderr=write,
                start_new_session=True,  # a terminal's Ctrl-C is for the supervisor, which drains in order
                preexec_fn=ending_with(os.getpid(), signal.SIGKILL),
            )
        except OSError:
            os.close(read)
            raise
        finally:
            os.close(write)
        self.pid = self._process.pid
        self._pump = self._loop.create_task(_pump(self._loop, read, log))
        self._ended: asyncio.Future[int] = self._loop.create_future()
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._reap)

    async def end(self) -> int:
        """Waits for the end and returns the exit code, negative for a signal."""
        code = await asyncio.shield(self._ended)
        # Who left its session with the pipe in hand shall not keep us.
        await asyncio.wait([self._pump], timeout=1.0)
        self._pump.cancel()
        return code

    def tell(self, number: signal.Signals) -> None:
        if not self._ended.done():
            self._process.send_signal(number)

    async def stop(self, grace: float) -> int:
        """Asks it to end, and makes it when it takes too long."""
        self.tell(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.end(), grace)
        except TimeoutError:
            self.tell(signal.SIGKILL)
            return await self.end()

    def _reap(self) -> None:
        self._loop.remove_reader(self._pidfd)
        os.close(self._pidfd)
        # Whatever it started in its session would hold ports, locks and the log's pipe.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._ended.set_result(self._process.wait())


def ending_with(parent: int, number: signal.Signals) -> Callable[[], None]:
    """What a new process does before its program begins: it asks for this signal when its parent dies."""

    def arrange() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return arrange


async def _pump(loop: asyncio.AbstractEventLoop, source: int, log: Log) -> None:
    reader = asyncio.StreamReader(loop=loop)
    with os.fdopen(source, "rb", buffering=0) as pipe:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            while chunk := await reader.read(65536):
                log.write(chunk)
        finally:
            transport.close()
