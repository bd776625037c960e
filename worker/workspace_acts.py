"""Acts in a workspace: the shell, which can be re-attached, and the file tools."""

import asyncio
import codecs
from collections.abc import Awaitable, Callable, Iterator
from typing import Literal, Protocol

from protocol.digest import digest_bytes
from protocol.errors import TargetLost, TargetRefused
from protocol.event import ToolOutput
from protocol.noun import JSONObject
from protocol.target import Command, Exit, Offsets, Output
from protocol.tool import ToolExecution
from targets.target import Target
from worker import named_files
from worker.act import Doing, Prepared, Result, Untold, cut, failure

READ_LIMIT = 4 * 1024 * 1024
READ_LINES = 2_000
EVENT_BYTES = 16 * 1024
EVENT_SECONDS = 0.025
OUTPUT_CAP = 1024 * 1024
ROOT = "/workspace"

Stream = Literal["stdout", "stderr"]
StillOpen = Callable[[], Awaitable[Target]]


class OutputLog(Protocol):
    """Where a command's output is told: the log knows how far each stream is already in it."""

    async def told(self, execution: ToolExecution) -> tuple[int, Offsets]: ...

    async def append(self, execution: ToolExecution, piece: ToolOutput, size: int) -> bool: ...


class Shell:
    """`bash`: a command under its execution id; a second worker re-attaches and never starts it again."""

    def __init__(self, target: StillOpen, output: OutputLog, environment: dict[str, str]) -> None:
        self._target = target
        self._output = output
        self._environment = environment

    async def prepare(self, doing: Doing) -> Prepared:
        files: dict[str, str] = {}
        if doing.asked:
            files = await named_files.digests(await self._target(), str(doing.execution.arguments["command"]))
        return Prepared(cwd=ROOT, environment=tuple(sorted(self._environment)), files=files)

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        target = await self._target()
        if not prepared.files:
            return await self._run(target, doing, attempt)
        now = await named_files.digests(target, str(doing.execution.arguments["command"]))
        other = named_files.changed(prepared.files, now)
        if other is None:
            return await self._run(target, doing, attempt)
        if doing.execution.status != "claimed":
            return _not_as_approved(other)
        try:  # the command itself may have changed them, if it was started
            return await self._run(target, doing, attempt, start=False)
        except TargetLost as lost:
            if lost.code != "target.execution_unknown":
                raise
            return _not_as_approved(other)

    async def _run(self, target: Target, doing: Doing, attempt: int, *, start: bool = True) -> Result:
        execution = doing.execution
        arguments = execution.arguments
        asked = arguments.get("timeout_ms")
        timeout = min(asked, doing.timeout_ms) if isinstance(asked, int) else doing.timeout_ms
        command = Command(
            argv=("bash", "-c", str(arguments["command"])),
            cwd=ROOT,
            env=self._environment,
            timeout_ms=timeout,
            output_cap=OUTPUT_CAP,
        )
        if start:
            await target.start(execution.id, command)
        teller = _Teller(self._output, execution, attempt)
        if execution.status == "claimed":
            await teller.catch_up()
        ended = await self._tell(target, teller)
        result = _shell_result(teller.kept, ended, timeout)
        return result.model_copy(update={"untold": await teller.rest()})

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        return None

    async def halt(self, doing: Doing) -> None:
        await (await self._target()).kill(doing.execution.id)

    async def _tell(self, target: Target, teller: "_Teller") -> Exit:
        """Follow from the start for the result; the teller gives the log only what it does not have yet."""
        telling = asyncio.create_task(teller.now_and_then())
        ended: Exit | None = None
        try:
            async for piece in target.follow(teller.execution.id, Offsets()):
                match piece:
                    case Output(stream=stream, data=data):
                        teller.kept[stream] += data
                    case Exit():
                        ended = piece
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        if ended is None:
            raise TargetRefused("target.no_exit", "the command's output ended without an exit")
        return ended


class _Teller:
    """Tells the output of one command to the log, in whole characters, each byte once; `rest` is left to
    the commit of the result."""

    def __init__(self, output: OutputLog, execution: ToolExecution, attempt: int) -> None:
        self.execution = execution
        self.kept: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self._output = output
        self._attempt = attempt
        self._told: dict[Stream, int] = {"stdout": 0, "stderr": 0}
        self._telling: asyncio.Future[None] | None = None

    async def catch_up(self) -> None:
        self._attempt, known = await self._output.told(self.execution)
        self._told = {"stdout": known.stdout, "stderr": known.stderr}

    async def _look(self) -> None:
        """Where the log is: a worker that was given up may have told of the same attempt meanwhile."""
        attempt, known = await self._output.told(self.execution)
        if attempt == self._attempt:
            self._told = {"stdout": known.stdout, "stderr": known.stderr}

    async def now_and_then(self) -> None:
        while True:
            await asyncio.sleep(EVENT_SECONDS)
            self._telling = asyncio.ensure_future(self._tell())
            await asyncio.shield(self._telling)

    async def rest(self) -> tuple[Untold, ...]:
        """What the log does not have; the log is asked where the last try to tell it failed."""
        if self._telling is not None:
            await asyncio.wait([self._telling])
            if self._telling.exception() is not None:
                await self._look()
        return tuple(self._pieces(all_of_it=True))

    async def _tell(self) -> None:
        for piece in self._pieces(all_of_it=False):
            if not await self._output.append(self.execution, piece.output, piece.size):
                await self._look()
                return
            self._told[piece.output.stream] = piece.output.offset + piece.size

    def _pieces(self, *, all_of_it: bool) -> Iterator[Untold]:
        for stream, kept in self.kept.items():
            start = self._told[stream]
            while len(kept) > start:
                piece = bytes(kept[start : start + EVENT_BYTES])
                last = all_of_it and start + len(piece) == len(kept)
                data = piece if last else _whole_characters(piece)
                if not data:
                    break
                yield Untold(output=self._output_of(stream, start, data), size=len(data))
                start += len(data)

    def _output_of(self, stream: Stream, start: int, data: bytes) -> ToolOutput:
        return ToolOutput(
            tool_execution_id=self.execution.id,
            attempt=self._attempt,
            stream=stream,
            offset=start,
            delta=data.decode(errors="replace"),
        )


def _not_as_approved(paths: str) -> Result:
    return failure(f"Not done: {paths} changed after the approval. Call again, and it is asked again.")


def _whole_characters(data: bytes) -> bytes:
    """`data` without the beginning of a character whose rest has not come yet."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    decoder.decode(data)
    pending, _ = decoder.getstate()
    return data[: len(data) - len(pending)]


def _shell_result(kept: dict[Stream, bytearray], ended: Exit, timeout: int) -> Result:
    text = kept["stdout"].decode(errors="replace")
    errors = kept["stderr"].decode(errors="replace")
    if errors:
        text += f"\n[stderr]\n{errors}" if text else f"[stderr]\n{errors}"
    for stream, total, digest in (
        ("stdout", ended.stdout_bytes, ended.stdout_digest),
        ("stderr", ended.stderr_bytes, ended.stderr_digest),
    ):
        if total > len(kept["stdout" if stream == "stdout" else "stderr"]):
            text += f"\n[{stream} cut: {total} bytes in all, {digest}]"
    if ended.timed_out:
        text += f"\n[killed: the time limit of {timeout} ms passed]"
    elif ended.signal is not None:
        text += f"\n[ended by signal {ended.signal}]"
    elif ended.exit_code:
        text += f"\n[exit code {ended.exit_code}]"
    failed = ended.exit_code != 0
    return Result(
        text=cut(text or "[no output]"),
        is_error=failed,
        outcome="failed" if failed else "succeeded",
        exit_code=ended.exit_code,
        effect={"stdout_digest": ended.stdout_digest, "stderr_digest": ended.stderr_digest},
    )


class Files:
    """The file tools: `read_file`, `write_file`, `edit_file`, `glob`, `grep`."""

    def __init__(self, target: StillOpen) -> None:
        self._target = target

    async def prepare(self, doing: Doing) -> Prepared:
        return Prepared(cwd=ROOT, files=await self._replaced(doing) if doing.asked else {})

    async def _replaced(self, doing: Doing) -> dict[str, str]:
        """What a write would put something else in the place of."""
        path = doing.execution.arguments.get("path")
        if doing.execution.tool not in ("write_file", "edit_file") or not isinstance(path, str):
            return {}
        held = await named_files.digest_of(await self._target(), path)
        return {path: held} if held is not None else {}

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        return None

    async def halt(self, doing: Doing) -> None:
        """A file operation is over before anybody could stop it."""

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        target = await self._target()
        arguments = doing.execution.arguments
        if prepared.files and doing.execution.status != "claimed":
            other = named_files.changed(prepared.files, await self._replaced(doing))
            if other is not None:
                return _not_as_approved(other)
        match doing.execution.tool:
            case "read_file":
                return await _read(target, arguments)
            case "write_file":
                content = str(arguments["content"]).encode()
                await target.write(str(arguments["path"]), content)
                return Result(text=f"wrote {len(content)} bytes, {digest_bytes(content)}")
            case "edit_file":
                return await _edit(target, arguments, attempt)
            case "glob":
                found = await target.glob(str(arguments["pattern"]), limit=1_000)
                return Result(text=cut("\n".join(found) or "[no file matches]"))
            case "grep":
                return await _grep(target, arguments)
            case other:
                return failure(f"there is no file tool {other!r}")


async def _read(target: Target, arguments: JSONObject) -> Result:
    """Lines with their numbers, as the tool's description promises."""
    data = await target.read(str(arguments["path"]), limit=READ_LIMIT)
    lines = data.decode(errors="replace").splitlines()
    offset, limit = arguments.get("offset"), arguments.get("limit")
    first = offset if isinstance(offset, int) else 1
    count = limit if isinstance(limit, int) else READ_LINES
    shown = lines[first - 1 : first - 1 + count]
    text = "\n".join(f"{number:>6}\t{line}" for number, line in enumerate(shown, start=first))
    left = len(lines) - (first - 1 + len(shown))
    if left > 0:
        text += f"\n[{left} more lines]"
    return Result(text=cut(text or "[no such lines]" if lines else "[empty file]"))


async def _edit(target: Target, arguments: JSONObject, attempt: int) -> Result:
    """Replace a text that stands exactly once, or everywhere when asked; done twice, it is done once."""
    path = str(arguments["path"])
    old, new = str(arguments["old_text"]), str(arguments["new_text"])
    before = (await target.read(path, limit=READ_LIMIT)).decode()
    count = before.count(old)
    everywhere = arguments.get("replace_all") is True
    if count == 0 and attempt > 1 and new in before:
        return Result(text=f"replaced in {path}")
    if count == 0:
        return failure(f"{path} does not hold the text in old_text")
    if count > 1 and not everywhere:
        return failure(f"{path} holds the text in old_text {count} times; give more of what stands around it")
    after = before.replace(old, new) if everywhere else before.replace(old, new, 1)
    await target.write(path, after.encode())
    return Result(text=f"replaced {count if everywhere else 1} in {path}")


async def _grep(target: Target, arguments: JSONObject) -> Result:
    limit = arguments.get("limit")
    matches = await target.grep(
        str(arguments["pattern"]),
        path=str(arguments.get("path") or "."),
        glob=str(arguments.get("glob") or ""),
        limit=limit if isinstance(limit, int) else 200,
    )
    lines = [f"{match.path}:{match.line}: {match.text}" for match in matches]
    return Result(text=cut("\n".join(lines) or "[no match]"))
