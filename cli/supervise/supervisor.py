"""Keeps programs running: starts them together, restarts what dies, ends them in order."""

import asyncio
import json
import signal
import time
from collections.abc import Callable, Sequence

from cli.home import Home, write_whole
from cli.supervise.child import Child, Program
from cli.supervise.logs import Log

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 15.0
_SOUND_AFTER = 5.0
"""Who ran this long before it died is started again at once; who did not waits longer each time."""

_TRIES = 3

Tell = Callable[[str], None]


class NeverCameUp(Exception):
    """A program ended again and again before everything was ready once."""


class Supervisor:
    """Programs, each needing those before it; they are ended from the last on."""

    def __init__(self, home: Home, tell: Tell, *, shown: bool = False) -> None:
        self._home = home
        self._tell = tell
        self._shown = shown
        self._children: dict[str, Child] = {}
        self._programs: dict[str, Program] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._stopping = asyncio.Event()
        self._ready = False

    def start(self, programs: Sequence[Program]) -> None:
        for program in programs:
            self._programs[program.name] = program
            keeper = asyncio.create_task(self._keep(program))
            keeper.add_done_callback(lambda _: self._stopping.set())
            self._keepers[program.name] = keeper

    def came_up(self) -> None:
        """From here on nothing that dies is given up."""
        self._ready = True

    def stop(self) -> None:
        self._stopping.set()

    def pid(self, name: str) -> int | None:
        return self._children[name].pid if name in self._children else None

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    async def stopped(self) -> None:
        """Waits for `stop`, or for a program that is given up."""
        await self._stopping.wait()

    async def drain(self) -> None:
        """Ends the last program first, each with its grace. Raises what a keeper raised."""
        self._stopping.set()
        for name in reversed(self._programs):
            child = self._children.get(name)
            if child is not None:
                await child.stop(self._programs[name].grace)
            await asyncio.wait([self._keepers[name]])
        self._home.pids.unlink(missing_ok=True)
        for keeper in self._keepers.values():
            keeper.result()

    def kill(self) -> None:
        """Ends everything at once, for who does not want to wait for `drain`."""
        self._stopping.set()
        for child in self._children.values():
            child.tell(signal.SIGKILL)

    async def _keep(self, program: Program) -> None:
        log = Log(self._home.logs / f"{program.name}.log", shown=self._shown)
        pause, deaths = 0.0, 0
        try:
            while not self.stopping:
                started = time.monotonic()
                try:
                    child = Child(program, log)
                except OSError as error:
                    raise NeverCameUp(f"{program.name} cannot be started: {error}") from error
                self._children[program.name] = child
                self._write_pids()
                code = await child.end()
                if self.stopping:
                    return
                del self._children[program.name]
                deaths += 1
                if not self._ready and deaths >= _TRIES:
                    raise NeverCameUp(f"{program.name} does not start; the end of {log.path}:\n{log.tail()}")
                if time.monotonic() - started > _SOUND_AFTER:
                    pause = 0.0
                again = f"again in {pause:g} s" if pause else "started again"
                self._tell(f"{program.name} {_how(code)}; {again}; its log: {log.path}")
                await self._sleep(pause)
                pause = min(max(pause * 2, _FIRST_PAUSE), _LONGEST_PAUSE)
        finally:
            log.close()

    async def _sleep(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return

    def _write_pids(self) -> None:
        pids = {name: self._children[name].pid for name in self._programs if name in self._children}
        write_whole(self._home.pids, json.dumps(pids) + "\n")


def _how(code: int) -> str:
    return f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
