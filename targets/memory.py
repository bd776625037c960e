"""Targets without a machine behind them: a host for tests, and a fake outside world that counts."""

import asyncio
import fcntl
import hashlib
import json
import os
import re
import shlex
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal, NamedTuple

from protocol.digest import digest
from protocol.errors import TargetLost, TargetRefused
from protocol.ids import BoxId, ToolExecutionId
from protocol.noun import JSON, Noun
from protocol.target import BoxPlace, BoxSpec, Command, Exit, Match, Offsets, Output, TreeCheckpoint
from protocol.tool import Effect
from protocol.workspace import ImageRecipe
from targets.globs import compile_glob
from targets.paths import inside, protected

_KILLED = 9
_MAX_LINE = 500


class Scripted(NamedTuple):
    """What a command does here: it writes, waits, and ends."""

    stdout: bytes = b""
    stderr: bytes = b""
    exit_code: int = 0
    seconds: float = 0.0


Script = Callable[[Command], Scripted | None]
"""Says what a command does; `None` leaves it to the built-in ones."""


class _Execution:
    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.written: dict[Literal["stdout", "stderr"], bytes] = {"stdout": b"", "stderr": b""}
        self.exit: Exit | None = None
        self.forgotten = False
        self.changed = asyncio.Condition()
        self.running: asyncio.Task[None] | None = None
        self.killed = asyncio.Event()


class MemoryTarget:
    """A work tree in a dictionary, and the few commands that a test needs."""

    def __init__(self, files: dict[str, bytes], script: Script) -> None:
        self.files = files
        self.lost = False
        self._script = script
        self._executions: dict[ToolExecutionId, _Execution] = {}

    async def start(self, execution: ToolExecutionId, command: Command) -> None:
        self._alive()
        if inside(command.cwd) != "." and not self._is_folder(inside(command.cwd)):
            raise TargetRefused("target.not_found", f"{command.cwd}: no such folder")
        if execution in self._executions:
            return
        if not command.argv:
            raise TargetRefused("target.command_refused", "an empty command")
        scripted = self._script(command) or _builtin(command.argv)
        if scripted is None:
            raise TargetRefused("target.command_not_found", f"there is no command {command.argv[0]}")
        started = self._executions[execution] = _Execution(command.output_cap)
        started.running = asyncio.get_running_loop().create_task(self._run(started, scripted, command))

    async def follow(self, execution: ToolExecutionId, offsets: Offsets) -> AsyncIterator[Output | Exit]:
        known = {"stdout": offsets.stdout, "stderr": offsets.stderr}
        while True:
            self._alive()
            found = self._executions.get(execution)
            if found is None or found.forgotten:
                raise TargetLost("target.execution_unknown", f"nothing is known of {execution}")
            ended = found.exit
            for stream, written in found.written.items():
                data = written[: found.limit][known[stream] :]
                if data:
                    yield Output(stream=stream, offset=known[stream], data=data)
                    known[stream] += len(data)
            if ended is not None:
                yield ended
                return
            async with found.changed:
                while found.exit is None and not self.lost:
                    await found.changed.wait()

    async def kill(self, execution: ToolExecutionId) -> None:
        self._alive()
        found = self._executions.get(execution)
        if found is not None and found.running is not None:
            found.killed.set()
            await asyncio.wait([found.running])

    async def forget(self, execution: ToolExecutionId) -> None:
        self._alive()
        found = self._executions.get(execution)
        if found is None:
            return
        if found.exit is None:
            raise TargetRefused("target.execution_running", f"{execution} is still running")
        found.forgotten = True

    async def read(self, path: str, *, limit: int) -> bytes:
        return self._file(inside(path))[:limit]

    async def write(self, path: str, content: bytes) -> None:
        self._alive()
        name = inside(path)
        if name == "." or self._is_folder(name):
            raise TargetRefused("target.not_a_file", f"{path} is a folder")
        if (part := protected(name)) is not None:
            raise TargetRefused("target.path_protected", f"the file tools do not write {part}; use the shell")
        self.files[name] = content

    async def glob(self, pattern: str, *, limit: int) -> tuple[str, ...]:
        self._alive()
        fits = compile_glob(inside(pattern))
        return tuple([name for name in self._names() if fits.fullmatch(name)][:limit])

    async def grep(self, pattern: str, *, path: str, glob: str, limit: int) -> tuple[Match, ...]:
        self._alive()
        try:
            wanted = re.compile(pattern)
        except re.error as fault:
            raise TargetRefused("target.pattern_refused", str(fault)) from None
        fits = compile_glob(glob if "/" in glob else f"**/{glob or '*'}")
        where = inside(path)
        if where != "." and where not in self.files and not self._is_folder(where):
            raise TargetRefused("target.not_found", f"{path}: no such file or folder")
        found: list[Match] = []
        for name in self._names():
            under = where == "." or name.startswith(f"{where}/")
            if name != where and not (under and fits.fullmatch(name)):
                continue
            if b"\0" in self.files[name][:8192]:
                continue
            for number, line in enumerate(self.files[name].decode(errors="replace").splitlines(), 1):
                if wanted.search(line):
                    found.append(Match(path=name, line=number, text=line[:_MAX_LINE]))
        return tuple(found[:limit])

    async def seed(self, bundle: bytes, *, commit: str, branch: str) -> None:
        raise _no_git()

    async def checkpoint(self, *, since: str | None) -> TreeCheckpoint | None:
        raise _no_git()

    async def restore(self, bundles: Sequence[bytes], *, commit: str, branch: str) -> None:
        raise _no_git()

    async def head(self) -> str | None:
        self._alive()
        return None

    async def take_bundle(self, *, base: str, ref: str, limit: int) -> bytes:
        raise _no_git()

    async def pack(self, *, limit: int) -> bytes | None:
        self._alive()
        return None

    async def unpack(self, packed: bytes) -> None:
        raise _no_git()

    async def posture(self) -> dict[str, JSON]:
        self._alive()
        return {}

    async def close(self) -> None:
        return

    async def end(self) -> None:
        """Everybody who waits on this box learns that it is gone."""
        self.lost = True
        for execution in self._executions.values():
            async with execution.changed:
                execution.changed.notify_all()

    async def _run(self, execution: _Execution, scripted: Scripted, command: Command) -> None:
        started = time.monotonic()
        execution.written = {"stdout": scripted.stdout, "stderr": scripted.stderr}
        late = scripted.seconds * 1000 > command.timeout_ms
        if scripted.seconds:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(scripted.seconds, command.timeout_ms / 1000)):
                    await execution.killed.wait()
        killed = execution.killed.is_set()
        by_itself = not (killed or late)
        stdout, stderr = execution.written.values()
        async with execution.changed:
            execution.exit = Exit(
                exit_code=scripted.exit_code if by_itself else None,
                signal=None if by_itself else _KILLED,
                timed_out=late and not killed,
                killed=killed,
                stdout_bytes=len(stdout),
                stderr_bytes=len(stderr),
                stdout_digest="sha256:" + hashlib.sha256(stdout).hexdigest(),
                stderr_digest="sha256:" + hashlib.sha256(stderr).hexdigest(),
                duration_ms=int((time.monotonic() - started) * 1000),
            )
            execution.changed.notify_all()

    def _alive(self) -> None:
        if self.lost:
            raise TargetLost("target.gone", "the box is gone")

    def _names(self) -> list[str]:
        return sorted(name for name in self.files if ".git" not in name.split("/"))

    def _is_folder(self, name: str) -> bool:
        return name == "." or any(other.startswith(f"{name}/") for other in self.files)

    def _file(self, name: str) -> bytes:
        self._alive()
        if self._is_folder(name):
            raise TargetRefused("target.not_a_file", f"{name} is not a regular file")
        if name not in self.files:
            raise TargetRefused("target.not_found", f"{name}: no such file or directory")
        return self.files[name]


class MemoryHost:
    """An engine whose boxes are dictionaries."""

    name = "host-memory"

    def __init__(self, script: Script = lambda command: None) -> None:
        self._script = script
        self._boxes: dict[BoxId, tuple[BoxPlace, MemoryTarget]] = {}
        self.needed: frozenset[str] | None = None

    async def create(self, spec: BoxSpec, box: BoxId) -> BoxPlace:
        if box not in self._boxes:
            key = digest(spec)
            place = BoxPlace(container_id=f"memory-{box}", host=self.name, image_digest=key, pool_key=key)
            self._boxes[box] = (place, MemoryTarget({}, self._script))
        return self._boxes[box][0]

    async def build(self, recipe: ImageRecipe, context: bytes) -> str:
        return digest(recipe)

    async def collect(self, needed: Collection[str]) -> None:
        self.needed = frozenset(needed)

    async def attach(self, place: BoxPlace) -> MemoryTarget:
        for known, target in self._boxes.values():
            if known == place:
                return target
        raise TargetLost("target.gone", "the box is gone")

    async def inspect(self, place: BoxPlace) -> dict[str, JSON]:
        await self.attach(place)
        return {"container_id": place.container_id}

    async def remove(self, place: BoxPlace) -> None:
        for box, (known, target) in list(self._boxes.items()):
            if known.container_id == place.container_id:
                del self._boxes[box]
                await target.end()

    async def boxes(self) -> tuple[tuple[BoxId | None, str], ...]:
        return tuple((box, place.container_id) for box, (place, _) in self._boxes.items())

    async def check(self) -> None:
        return


def _no_git() -> TargetRefused:
    return TargetRefused("git.unsupported", "a target in memory has no git")


def _builtin(argv: tuple[str, ...]) -> Scripted | None:
    match argv:
        case ("bash" | "sh", "-c", script):
            return _builtin(tuple(shlex.split(script)))
        case ("echo", *words):
            return Scripted(stdout=" ".join(words).encode() + b"\n")
        case ("true",):
            return Scripted()
        case ("false",):
            return Scripted(exit_code=1)
        case ("sleep", seconds):
            return Scripted(seconds=float(seconds))
        case _:
            return None


class Counted(Noun):
    """One real execution in the counting world."""

    effect: Effect
    execution: ToolExecutionId
    key: str


class CountingTools:
    """An outside world that counts: one line per real execution in a file that survives any death.

    `idempotent_write` takes our key, as such services do: the same key again changes nothing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: list[Counted] = []
        self._read = 0

    async def count(self, effect: Effect, execution: ToolExecutionId, key: str) -> int:
        """How many of this effect there were, with this one."""
        counted = Counted(effect=effect, execution=execution, key=key)
        return await asyncio.to_thread(self._append, counted)

    def executions(self) -> tuple[Counted, ...]:
        return _counted(self._path.read_bytes()) if self._path.exists() else ()

    def _append(self, counted: Counted) -> int:
        with self._path.open("a+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(self._read)
            self._known += _counted(file.read())  # what other processes have added since
            self._read = file.tell()
            known = [one for one in self._known if one.effect == counted.effect]
            if counted.effect == "idempotent_write" and any(one.key == counted.key for one in known):
                return len(known)
            file.write(counted.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
            return len(known) + 1


def _counted(lines: bytes) -> tuple[Counted, ...]:
    return tuple(Counted(**json.loads(line)) for line in lines.splitlines())
