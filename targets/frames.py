"""Frames between a worker and the agent of a box, over one attached exec.

A frame is four bytes of length, four of header length, a JSON header and a raw body. The engine wraps
what comes out of the box in frames of its own: one byte of stream, three of nothing, four of length.
"""

import asyncio
import json
import socket
import struct
from typing import Any, NamedTuple, cast

from protocol.errors import TargetRefused

VERSION = 1
MAX_BODY = 16 * 1024 * 1024
_MAX_HEADER = 1024 * 1024
_MAX_REPLY = 512 * 1024
_DIAGNOSTICS = 4096
_ANSWERS_WITHIN = 20.0
"""A silence of this length, with a ping in it, means that nobody is there."""


class AttachmentLost(Exception):
    """The exec is gone or silent; the box may well go on."""


class Misbehaved(Exception):
    """What answers is not our agent, or no longer."""


class Reply(NamedTuple):
    header: dict[str, Any]
    body: bytes

    @property
    def last(self) -> bool:
        return self.header["kind"] in ("done", "refused")


class Dialogue:
    """One request and the replies to it; more than `room` bytes of them is misbehaviour."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.replies: asyncio.Queue[Reply | Exception] = asyncio.Queue()


class Attachment(asyncio.Protocol):
    """A worker's side of one attached exec: requests by id, each answered in its own time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._wrapped = bytearray()
        self._frames = bytearray()
        self._said = bytearray()
        self._issued = 0
        self._open: dict[int, Dialogue] = {}
        self._over: Exception | None = None
        self._heard = 0.0
        self._watch: asyncio.Task[None] | None = None

    @classmethod
    async def over(cls, sock: socket.socket) -> "Attachment":
        """Speaks first: until then nothing that the box says can be lost in the engine's HTTP answer."""
        sock.setblocking(False)
        loop = asyncio.get_running_loop()
        _, attachment = await loop.create_connection(cls, sock=sock)
        attachment._watch = loop.create_task(attachment._ping())
        try:
            hello = await asyncio.wait_for(attachment.last("hello"), _ANSWERS_WITHIN)
        except TimeoutError:
            attachment.close()
            raise AttachmentLost("the agent did not say hello") from None
        if hello.header.get("version") != VERSION:
            attachment.close()
            raise Misbehaved(f"the agent speaks version {hello.header.get('version')!r}, not {VERSION}")
        return attachment

    @property
    def lost(self) -> bool:
        return self._over is not None

    def close(self) -> None:
        self._end(AttachmentLost("this attachment was closed"))

    def begin(self, op: str, fields: dict[str, Any], body: bytes = b"", *, room: int) -> tuple[int, Dialogue]:
        """Asks; `reply` has the answers, and `leave` must be called, which cancels what is not over."""
        if self._over is not None:
            raise self._over
        if not self._open:
            self._heard = asyncio.get_running_loop().time()
        self._issued += 1
        self.say({"id": self._issued, "op": op, **fields}, body)
        dialogue = self._open[self._issued] = Dialogue(room)
        return self._issued, dialogue

    async def reply(self, dialogue: Dialogue) -> Reply:
        """The next one; after the `last` there is none. A refusal raises."""
        reply = await dialogue.replies.get()
        if isinstance(reply, Exception):
            raise reply
        if reply.header["kind"] == "refused":
            code, message = reply.header.get("code"), reply.header.get("message")
            raise TargetRefused(str(code), str(message))
        return reply

    def leave(self, number: int) -> None:
        if self._open.pop(number, None) is not None and self._over is None:
            self.say({"id": number, "op": "cancel"})

    async def last(self, op: str, fields: dict[str, Any] | None = None) -> Reply:
        """The one reply to a request that has no data."""
        number, dialogue = self.begin(op, fields or {}, room=0)
        try:
            return await self.reply(dialogue)
        finally:
            self.leave(number)

    async def whole(self, op: str, fields: dict[str, Any], body: bytes = b"", *, room: int) -> bytes:
        """All the data of the answer."""
        data = bytearray()
        number, dialogue = self.begin(op, fields, body, room=room)
        try:
            while not (reply := await self.reply(dialogue)).last:
                data += reply.body
        finally:
            self.leave(number)
        return bytes(data)

    def say(self, header: dict[str, Any], body: bytes = b"") -> None:
        if self._transport is None or self._over is not None:
            raise self._over or AttachmentLost("not attached yet")
        head = json.dumps(header).encode()
        if len(head) > _MAX_HEADER or len(body) > MAX_BODY:
            raise TargetRefused("target.too_large", "the request is larger than a box takes at once")
        self._transport.write(struct.pack(">II", 4 + len(head) + len(body), len(head)) + head + body)

    # What the engine delivers.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        said = self._said.decode(errors="replace").strip()
        self._end(AttachmentLost(said or "the attached exec ended"))

    def data_received(self, data: bytes) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._wrapped += data
        while len(self._wrapped) >= 8:
            stream, size = self._wrapped[0], int.from_bytes(self._wrapped[4:8], "big")
            if stream not in (1, 2):
                return self._end(AttachmentLost(self._wrapped[:_DIAGNOSTICS].decode(errors="replace")))
            if len(self._wrapped) < 8 + size:
                break
            if stream == 1:
                self._frames += self._wrapped[8 : 8 + size]
            elif len(self._said) < _DIAGNOSTICS:
                self._said += self._wrapped[8 : 8 + size]
            del self._wrapped[: 8 + size]
        try:
            while (reply := self._next()) is not None:
                self._deliver(reply)
        except Misbehaved as fault:
            self._end(fault)

    def _next(self) -> Reply | None:
        if len(self._frames) < 8:
            return None
        size, head = struct.unpack_from(">II", self._frames)
        if size > _MAX_REPLY or head > size - 4:
            raise Misbehaved(f"a frame of {size} bytes with a header of {head}")
        if len(self._frames) < 4 + size:
            return None
        try:
            header = json.loads(self._frames[8 : 8 + head])
        except ValueError:
            raise Misbehaved("a frame whose header is not JSON") from None
        body = bytes(self._frames[8 + head : 4 + size])
        del self._frames[: 4 + size]
        if (
            not isinstance(header, dict)
            or type(header.get("id")) is not int
            or header.get("kind") not in ("data", "taken", "done", "refused")
            or not 0 < header["id"] <= self._issued
        ):
            raise Misbehaved("a frame that answers nothing")
        return Reply(header, body)

    def _deliver(self, reply: Reply) -> None:
        dialogue = self._open.get(reply.header["id"])
        if dialogue is None:
            return
        dialogue.room -= len(reply.body)
        if dialogue.room < 0:
            raise Misbehaved("more data than was asked for")
        dialogue.replies.put_nowait(reply)
        if reply.last:
            del self._open[reply.header["id"]]

    def _end(self, why: Exception) -> None:
        if self._over is not None:
            return
        self._over = why
        if self._watch is not None:
            self._watch.cancel()
        if self._transport is not None:
            self._transport.abort()
        for dialogue in self._open.values():
            dialogue.replies.put_nowait(why)
        self._open.clear()

    async def _ping(self) -> None:
        """A stopped exec looks like a slow one; asking tells them apart."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_ANSWERS_WITHIN / 4)
            silent = loop.time() - self._heard
            if not self._open or silent < _ANSWERS_WITHIN / 2:
                continue
            if silent > _ANSWERS_WITHIN:
                return self._end(AttachmentLost(f"the agent was silent for {silent:.0f} s"))
            self._issued += 1
            self.say({"id": self._issued, "op": "hello"})
