"""A program in a box of its own, spoken to over its standard streams: it ends with whoever started it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress

from protocol.errors import Fault, TargetLost, TargetRefused
from protocol.noun import JSONObject
from protocol.target import BoxSpec
from targets.agent import AgentTarget
from targets.docker import DockerHost
from targets.frames import Attachment, AttachmentLost, Misbehaved, Reply
from targets.posture import fallen

LONGEST_MS = 30 * 24 * 3600 * 1000
UNREAD = 4 * 1024 * 1024
"""How far a program may write ahead of its reader."""

_PIECE = 256 * 1024
_AHEAD = 4
_COMPLAINT = 2_000


class Program:
    """One command over one attachment. The agent ends it when it is left, or when the attachment is lost;
    `evidence` is what its box was found to be."""

    def __init__(
        self,
        attachment: Attachment,
        argv: Sequence[str],
        env: Mapping[str, str],
        *,
        evidence: JSONObject,
        discard: Callable[[], Awaitable[None]],
    ) -> None:
        self.evidence = evidence
        self._attachment = attachment
        self._discard = discard
        self._room = asyncio.Semaphore(_AHEAD)
        self._complaint = b""
        fields = {"execution": "program", "argv": argv, "env": env, "timeout_ms": LONGEST_MS}
        self._number, self._dialogue = attachment.begin("run", fields, room=UNREAD)

    async def send(self, data: bytes) -> None:
        """Waits while the program does not read."""
        for start in range(0, len(data), _PIECE):
            await self._room.acquire()
            try:
                self._attachment.say({"id": self._number, "op": "stdin"}, data[start : start + _PIECE])
            except AttachmentLost as fault:
                raise TargetLost("target.unreachable", f"the box is gone: {fault}") from None

    async def receive(self) -> bytes:
        """What it wrote to its standard output. Raises TargetLost when it has ended."""
        while True:
            reply = await self._reply()
            if reply.last:
                raise TargetLost("target.program_ended", f"the program ended ({self._why(reply)})")
            self._dialogue.room += len(reply.body)
            match reply.header["kind"], reply.header.get("stream"):
                case "taken", _:
                    self._room.release()
                case _, "stdout":
                    return reply.body
                case _:
                    self._complaint = (self._complaint + reply.body)[-_COMPLAINT:]

    async def close(self) -> None:
        """It is killed, and its box removed."""
        with suppress(AttachmentLost, Misbehaved):
            self._attachment.leave(self._number)
        await self._discard()

    async def _reply(self) -> Reply:
        try:
            return await self._attachment.reply(self._dialogue)
        except (AttachmentLost, Misbehaved) as fault:
            raise TargetLost("target.unreachable", f"the box is gone: {fault}") from None
        except TargetRefused as fault:
            raise TargetLost(fault.code, fault.message) from None

    def _why(self, reply: Reply) -> str:
        found = reply.header.get("exit")
        code = found.get("exit_code") if isinstance(found, dict) else None
        said = self._complaint.decode(errors="replace").strip()
        return f"exit code {code}" + (f"; it said: {said}" if said else "")


async def launch(host: DockerHost, spec: BoxSpec, argv: Sequence[str], env: Mapping[str, str]) -> Program:
    """A program in a new box that has all its walls. Raises TargetRefused, TargetLost, TargetUnavailable."""
    await host.check()
    place, attachment = await host.apart(spec)

    async def discard() -> None:
        attachment.close()
        await host.remove(place)

    async def attached() -> Attachment:
        return attachment

    try:
        posture = await AgentTarget(attached, condemn=discard, detach=discard).posture()
        missing = fallen(posture)
        if missing:
            raise TargetRefused("target.engine_weak", f"the box lacks walls: {', '.join(missing)}")
        container = await host.inspect(place)
        evidence: JSONObject = {"image": place.image_digest, "container": container, "posture": posture}
        return Program(attachment, argv, env, evidence=evidence, discard=discard)
    except AttachmentLost as fault:
        await discard()
        raise TargetLost("target.unreachable", f"the box is gone: {fault}") from None
    except (Fault, asyncio.CancelledError):
        await asyncio.shield(discard())
        raise
