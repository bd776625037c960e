"""What comes out of a box is taken for what it is: nothing in it is authority."""

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from protocol.errors import TargetLost, TargetRefused
from protocol.ids import ToolExecutionId
from protocol.target import Command, Exit, Offsets
from targets.agent import AgentTarget
from targets.frames import MAX_BODY, VERSION, Attachment, AttachmentLost, Misbehaved

EXIT = Exit(
    exit_code=0,
    signal=None,
    timed_out=False,
    killed=False,
    stdout_bytes=2,
    stderr_bytes=0,
    stdout_digest="sha256:0",
    stderr_digest="sha256:0",
    duration_ms=1,
).model_dump()


def frame(header: object, body: bytes = b"") -> bytes:
    head = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack(">II", 4 + len(head) + len(body), len(head)) + head + body


def wrapped(data: bytes, stream: int = 1) -> bytes:
    return struct.pack(">BxxxI", stream, len(data)) + data


class FakeAgent:
    """The box's end of an attachment, as a test wants it to be."""

    def __init__(self) -> None:
        self._ours, theirs = socket.socketpair()
        self.attached: Awaitable[Attachment] = Attachment.over(theirs)
        self.asked: list[dict[str, Any]] = []
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def attach(self, version: int = VERSION) -> Attachment:
        self._reader, self._writer = await asyncio.open_connection(sock=self._ours)
        making = asyncio.ensure_future(self.attached)
        hello = await self.next()
        self.say({"id": hello["id"], "kind": "done", "version": version})
        return await making

    async def next(self) -> dict[str, Any]:
        size, head = struct.unpack(">II", await self._reader.readexactly(8))
        data = await self._reader.readexactly(size - 4)
        return {**json.loads(data[:head]), "body": data[head:]}

    def say(self, header: object, body: bytes = b"") -> None:
        self._writer.write(wrapped(frame(header, body)))

    def raw(self, data: bytes) -> None:
        self._writer.write(data)

    def close(self) -> None:
        self._writer.close()


@pytest.fixture
async def agent() -> AsyncIterator[FakeAgent]:
    agent = FakeAgent()
    yield agent
    agent.close()


async def test_requests_are_answered_by_their_ids_in_any_order(agent: FakeAgent) -> None:
    attachment = await agent.attach()
    first = asyncio.ensure_future(attachment.whole("read", {"path": "a"}, room=100))
    second = asyncio.ensure_future(attachment.whole("read", {"path": "b"}, room=100))
    one, two = await agent.next(), await agent.next()
    agent.say({"id": two["id"], "kind": "data"}, b"se")
    agent.say({"id": one["id"], "kind": "data"}, b"first")
    agent.say({"id": two["id"], "kind": "data"}, b"cond")
    agent.say({"id": two["id"], "kind": "done"})
    agent.say({"id": one["id"], "kind": "done"})
    assert (await first, await second) == (b"first", b"second")


async def test_frames_may_come_cut_anywhere(agent: FakeAgent) -> None:
    attachment = await agent.attach()
    asking = asyncio.ensure_future(attachment.whole("read", {}, room=100))
    number = (await agent.next())["id"]
    whole = frame({"id": number, "kind": "data"}, b"content") + frame({"id": number, "kind": "done"})
    for byte in whole:
        agent.raw(wrapped(bytes([byte])))
    agent.raw(wrapped(b"something on the side", stream=2))
    assert await asking == b"content"


async def test_a_refusal_is_raised_by_its_code(agent: FakeAgent) -> None:
    attachment = await agent.attach()
    asking = asyncio.ensure_future(attachment.whole("read", {}, room=1))
    number = (await agent.next())["id"]
    agent.say({"id": number, "kind": "refused", "code": "target.not_found", "message": "no"})
    with pytest.raises(TargetRefused) as refused:
        await asking
    assert (refused.value.code, refused.value.message) == ("target.not_found", "no")


@pytest.mark.parametrize(
    "nonsense",
    [
        b"\xff\xff\xff\xff\0\0\0\0",
        struct.pack(">II", 10, 11) + b"0123456789",
        struct.pack(">II", 0, 0),
        frame(b"not json"),
        frame(b"[1]"),
        frame(b"\xff\xfe"),
        frame({"kind": "done"}),
        frame({"id": "1", "kind": "done"}),
        frame({"id": True, "kind": "done"}),
        frame({"id": 0, "kind": "done"}),
        frame({"id": 99, "kind": "done"}),
        frame({"id": 2, "kind": "shout"}),
        frame({"id": 2, "kind": "data"}, b"more than was asked for"),
    ],
)
async def test_nonsense_ends_the_attachment_for_everybody(agent: FakeAgent, nonsense: bytes) -> None:
    attachment = await agent.attach()
    asking = asyncio.ensure_future(attachment.whole("read", {}, room=10))
    await agent.next()
    agent.raw(wrapped(nonsense))
    with pytest.raises(Misbehaved):
        await asking
    assert attachment.lost
    with pytest.raises(Misbehaved):
        await attachment.whole("read", {}, room=10)


async def test_what_is_not_the_engines_frame_is_a_lost_attachment(agent: FakeAgent) -> None:
    attachment = await agent.attach()
    asking = asyncio.ensure_future(attachment.whole("read", {}, room=10))
    await agent.next()
    agent.raw(b"OCI runtime exec failed: no space\r\n")
    with pytest.raises(AttachmentLost, match="OCI runtime exec failed"):
        await asking


async def test_an_end_is_told_with_what_was_said_beside(agent: FakeAgent) -> None:
    attachment = await agent.attach()
    asking = asyncio.ensure_future(attachment.whole("read", {}, room=10))
    await agent.next()
    agent.raw(wrapped(b"killed\n", stream=2))
    agent.close()
    with pytest.raises(AttachmentLost, match="killed"):
        await asking


async def test_another_version_is_no_agent_of_ours(agent: FakeAgent) -> None:
    with pytest.raises(Misbehaved, match="version 2"):
        await agent.attach(version=2)


async def test_a_request_that_nobody_waits_for_is_cancelled(agent: FakeAgent) -> None:
    attachment = await agent.attach()
    asking = asyncio.ensure_future(attachment.whole("grep", {}, room=10))
    number = (await agent.next())["id"]
    asking.cancel()
    cancel = await agent.next()
    assert (cancel["op"], cancel["id"]) == ("cancel", number)
    agent.say({"id": number, "kind": "data"}, b"late")
    agent.say({"id": number, "kind": "done"})
    asking = asyncio.ensure_future(attachment.whole("read", {}, room=10))
    agent.say({"id": (await agent.next())["id"], "kind": "done"})
    assert await asking == b""


async def test_what_is_too_large_to_ask_is_refused_here(agent: FakeAgent) -> None:
    attachment = await agent.attach()
    with pytest.raises(TargetRefused) as refused:
        await attachment.whole("write", {}, bytes(MAX_BODY + 1), room=0)
    assert refused.value.code == "target.too_large"
    assert not attachment.lost


Answers = Callable[[FakeAgent, dict[str, Any]], None]


async def _target(agent: FakeAgent, answers: Answers) -> tuple[AgentTarget, list[str]]:
    """A target over the fake, and what was done to its box."""
    attachment, done = await agent.attach(), list[str]()

    async def attach() -> Attachment:
        return attachment

    async def condemn() -> None:
        done.append("condemned")

    async def detach() -> None:
        done.append("detached")

    async def serve() -> None:
        while True:
            answers(agent, await agent.next())

    serving = asyncio.ensure_future(serve())
    serving.add_done_callback(lambda task: task.cancelled() or task.exception())
    return AgentTarget(attach, condemn=condemn, detach=detach), done


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ({"kind": "data", "stream": "stdout", "offset": 1}, b"x"),
        ({"kind": "data", "stream": "stdin"}, b"x"),
        ({"kind": "data", "stream": "stdout"}, b""),
        ({"kind": "data", "stream": ["stdout"]}, b"x"),
        ({"kind": "done"}, b""),
        ({"kind": "done", "exit": {**EXIT, "more": 1}}, b""),
        ({"kind": "done", "exit": {**EXIT, "exit_code": "0"}}, b""),
    ],
)
async def test_a_box_that_lies_about_output_is_condemned(
    agent: FakeAgent, header: dict[str, Any], body: bytes
) -> None:
    def answers(agent: FakeAgent, asked: dict[str, Any]) -> None:
        agent.say({"id": asked["id"], "kind": "taken"})
        agent.say({"id": asked["id"], **header}, body)

    target, done = await _target(agent, answers)
    execution = ToolExecutionId("tool_1")
    await target.start(execution, Command(argv=("x",)))
    with pytest.raises(TargetLost) as lost:
        async for _ in target.follow(execution, Offsets()):
            pass
    assert (lost.value.code, done) == ("target.misbehaved", ["condemned"])


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'["a"', b'[{"path": 1}]', b"\xff"])
async def test_a_box_that_lists_nonsense_is_condemned(agent: FakeAgent, body: bytes) -> None:
    def answers(agent: FakeAgent, asked: dict[str, Any]) -> None:
        agent.say({"id": asked["id"], "kind": "data"}, body)
        agent.say({"id": asked["id"], "kind": "done"})

    target, done = await _target(agent, answers)
    with pytest.raises(TargetLost) as lost:
        await target.glob("**", limit=10)
    assert (lost.value.code, done) == ("target.misbehaved", ["condemned"])
