"""A target whose work is done by the agent in a box, over whatever attachment there is just now."""

import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from pydantic import TypeAdapter, ValidationError

from protocol.errors import TargetLost, TargetRefused
from protocol.ids import ToolExecutionId
from protocol.noun import JSON
from protocol.target import Command, Exit, Match, Offsets, Output, TreeCheckpoint
from targets.frames import MAX_BODY, Attachment, AttachmentLost, Dialogue, Misbehaved, Reply
from targets.paths import inside
from targets.posture import posture_of
from targets.workspace_git import WorkspaceGit

AGENT = "/rhone-agent"
MAX_OUTPUT = 64 * 1024 * 1024
_SLACK = 16 * 1024 * 1024
_ATTEMPTS = 3
_PIECE = 256 * 1024
_PIECES_AHEAD = 4
_STARTED_AHEAD = 64
_LOST = ("target.execution_unknown", "target.execution_forgotten", "target.spool_damaged")
_T = TypeVar("_T")
_PATHS = TypeAdapter(tuple[str, ...])
_MATCHES = TypeAdapter(tuple[Match, ...])


class Ran(NamedTuple):
    exit: Exit
    stdout: bytes
    stderr: bytes


class _Heard(NamedTuple):
    """The output of a command as it comes: with its start, or because it is followed."""

    attachment: Attachment
    number: int
    dialogue: Dialogue
    first: Reply | None = None


class AgentTarget:
    """One box as its worker sees it.

    An attachment that is lost is made again, and what was asked is asked again: every request may be
    repeated. A box that answers nonsense is condemned.
    """

    def __init__(
        self,
        attach: Callable[[], Awaitable[Attachment]],
        *,
        condemn: Callable[[], Awaitable[None]],
        detach: Callable[[], Awaitable[None]],
    ) -> None:
        self._attach = attach
        self._condemn = condemn
        self._detach = detach
        self._git = WorkspaceGit(self._run)
        self._ahead: dict[ToolExecutionId, _Heard] = {}

    async def start(self, execution: ToolExecutionId, command: Command) -> None:
        cwd = inside(command.cwd)
        if not 0 <= command.output_cap <= MAX_OUTPUT:
            raise TargetRefused(
                "target.command_refused", f"output_cap is at most {MAX_OUTPUT}", param="output_cap"
            )
        fields: dict[str, Any] = {
            "execution": execution,
            "argv": command.argv,
            "cwd": cwd,
            "env": command.env,
            "timeout_ms": command.timeout_ms,
            "output_cap": command.output_cap,
        }

        async def start(attachment: Attachment) -> None:
            number, dialogue = attachment.begin("start", fields, command.stdin, room=2 * MAX_OUTPUT)
            try:
                first = await attachment.reply(dialogue)
            except BaseException:
                attachment.leave(number)
                raise
            self._ahead[execution] = _Heard(attachment, number, dialogue, first)

        self._unfollow(execution)
        while len(self._ahead) >= _STARTED_AHEAD:
            self._unfollow(next(iter(self._ahead)))
        await self._try(start)

    async def follow(self, execution: ToolExecutionId, offsets: Offsets) -> AsyncIterator[Output | Exit]:
        known = {"stdout": offsets.stdout, "stderr": offsets.stderr}
        room = 2 * MAX_OUTPUT - sum(known.values())
        attempts = 0
        if offsets != Offsets():
            self._unfollow(execution)
        while True:
            try:
                heard = self._ahead.pop(execution, None)
                if heard is None:
                    attachment = await self._attach()
                    fields = {"execution": execution, **known}
                    heard = _Heard(attachment, *attachment.begin("follow", fields, room=room))
                attachment, number, dialogue, reply = heard
                try:
                    while True:
                        reply = reply or await attachment.reply(dialogue)
                        if reply.last:
                            yield _exit_of(reply)
                            return
                        if reply.header["kind"] == "data":
                            yield _output_of(reply, known)
                        reply, attempts = None, 0
                finally:
                    attachment.leave(number)
            except AttachmentLost as fault:
                attempts += 1
                if attempts == _ATTEMPTS:
                    raise TargetLost("target.unreachable", f"the box cannot be followed: {fault}") from None
            except Misbehaved as fault:
                raise await self._misbehaved(fault) from None
            except TargetRefused as fault:
                raise _lost_or(fault) from None

    async def kill(self, execution: ToolExecutionId) -> None:
        await self._ask("kill", {"execution": execution})

    async def forget(self, execution: ToolExecutionId) -> None:
        self._unfollow(execution)
        await self._ask("forget", {"execution": execution})

    async def read(self, path: str, *, limit: int) -> bytes:
        return await self._ask("read", {"path": inside(path), "limit": limit}, room=limit)

    async def write(self, path: str, content: bytes) -> None:
        if len(content) > MAX_BODY:
            raise TargetRefused("target.too_large", f"a file of more than {MAX_BODY} bytes", param="content")
        await self._ask("write", {"path": inside(path)}, content)

    async def glob(self, pattern: str, *, limit: int) -> tuple[str, ...]:
        fields = {"pattern": inside(pattern), "limit": limit}
        return await self._listed(_PATHS, "glob", fields)

    async def grep(self, pattern: str, *, path: str, glob: str, limit: int) -> tuple[Match, ...]:
        fields = {"pattern": pattern, "path": inside(path), "glob": glob, "limit": limit}
        return await self._listed(_MATCHES, "grep", fields)

    async def seed(self, bundle: bytes, *, commit: str, branch: str) -> None:
        await self._git.seed(bundle, commit=commit, branch=branch)

    async def checkpoint(self, *, since: str | None) -> TreeCheckpoint | None:
        return await self._git.checkpoint(since=since)

    async def restore(self, bundles: Sequence[bytes], *, commit: str, branch: str) -> None:
        await self._git.restore(bundles, commit=commit, branch=branch)

    async def head(self) -> str | None:
        return await self._git.head()

    async def take_bundle(self, *, base: str, ref: str, limit: int) -> bytes:
        return await self._git.take_bundle(base=base, ref=ref, limit=limit)

    async def pack(self, *, limit: int) -> bytes | None:
        return await self._git.pack(limit=limit)

    async def unpack(self, packed: bytes) -> None:
        await self._git.unpack(packed)

    async def posture(self) -> dict[str, JSON]:
        ran = await self._run((AGENT, "posture"), {}, b"", 65_536, 30_000)
        try:
            return posture_of(json.loads(ran.stdout if ran else b""))
        except ValueError as fault:
            raise await self._misbehaved(Misbehaved(f"a posture that is none: {fault}")) from None

    async def claim(self) -> None:
        """Tells a box out of a pool that it has an owner now."""
        await self._ask("claim", {})

    async def close(self) -> None:
        await self._detach()

    def _unfollow(self, execution: ToolExecutionId) -> None:
        """Lets go of the output that came with the start and that nobody follows."""
        if execution in self._ahead:
            heard = self._ahead.pop(execution)
            with suppress(AttachmentLost, Misbehaved):
                heard.attachment.leave(heard.number)

    async def _ask(self, op: str, fields: dict[str, Any], body: bytes = b"", *, room: int = 0) -> bytes:
        async def whole(attachment: Attachment) -> bytes:
            return await attachment.whole(op, fields, body, room=room)

        return await self._try(whole)

    async def _listed(self, shape: TypeAdapter[_T], op: str, fields: dict[str, Any]) -> _T:
        data = await self._ask(op, fields, room=MAX_OUTPUT)
        try:
            return shape.validate_json(data)
        except ValidationError as fault:
            raise await self._misbehaved(Misbehaved(f"an answer that is none: {fault}")) from None

    async def _try(self, work: Callable[[Attachment], Awaitable[_T]]) -> _T:
        lost = AttachmentLost("never attached")
        for _ in range(_ATTEMPTS):
            attachment = await self._attach()
            try:
                return await work(attachment)
            except AttachmentLost as fault:
                lost = fault
            except Misbehaved as fault:
                raise await self._misbehaved(fault) from None
            except TargetRefused as fault:
                raise _lost_or(fault) from None
        raise TargetLost("target.unreachable", f"the box does not answer: {lost}")

    async def _run(
        self, argv: tuple[str, ...], env: dict[str, str], stdin: bytes, limit: int, timeout_ms: int
    ) -> Ran | None:
        async def run(attachment: Attachment) -> Ran | None:
            fields: dict[str, Any] = {
                "execution": f"run-{os.urandom(8).hex()}",
                "argv": argv,
                "env": env,
                "timeout_ms": timeout_ms,
            }
            return await _run_over(attachment, fields, stdin, limit)

        return await self._try(run)

    async def _misbehaved(self, fault: Misbehaved) -> TargetLost:
        await self._condemn()
        return TargetLost("target.misbehaved", f"the box's agent misbehaved: {fault}")


async def _run_over(attachment: Attachment, fields: dict[str, Any], stdin: bytes, limit: int) -> Ran | None:
    """A command that lives as long as this call: its input goes in piece by piece as it takes them."""
    kept = {"stdout": bytearray(), "stderr": bytearray()}
    number, dialogue = attachment.begin("run", fields, room=limit + _SLACK)
    pieces = [stdin[start : start + _PIECE] for start in range(0, len(stdin), _PIECE)] or [b""]

    def pass_on(count: int) -> None:
        for piece in pieces[:count]:
            del pieces[0]
            attachment.say({"id": number, "op": "stdin", "last": not pieces}, piece)

    try:
        pass_on(_PIECES_AHEAD)
        while not (reply := await attachment.reply(dialogue)).last:
            if reply.header["kind"] == "taken":
                pass_on(1)
                continue
            stream = reply.header.get("stream")
            if not isinstance(stream, str) or stream not in kept:
                raise Misbehaved("data of no stream")
            kept[stream] += reply.body
            if len(kept["stdout"]) + len(kept["stderr"]) > limit:
                return None
        return Ran(_exit_of(reply), bytes(kept["stdout"]), bytes(kept["stderr"]))
    finally:
        attachment.leave(number)


def _exit_of(reply: Reply) -> Exit:
    try:
        return Exit.model_validate(reply.header.get("exit"), strict=True)
    except ValidationError as fault:
        raise Misbehaved(f"an exit that is none: {fault}") from None


def _output_of(reply: Reply, known: dict[str, int]) -> Output:
    stream, offset = reply.header.get("stream"), reply.header.get("offset", 0)
    match stream:
        case "stdout" | "stderr" if offset == known[stream] and reply.body:
            known[stream] += len(reply.body)
        case _:
            raise Misbehaved(f"data of {stream!r} at {offset!r}")
    return Output(stream=stream, offset=offset, data=reply.body)


def _lost_or(fault: TargetRefused) -> TargetRefused | TargetLost:
    return TargetLost(fault.code, fault.message) if fault.code in _LOST else fault
