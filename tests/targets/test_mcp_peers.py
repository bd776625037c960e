"""MCP servers that others wrote, as programs in boxes and over HTTP: those of npm where set-up could fetch
them, else ours."""

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from capabilities.elicitation import answer_fault, subject_of, with_defaults
from protocol.errors import Unavailable
from protocol.ids import RunId
from protocol.mcp import Asks, McpServerEntry, Reply, Said, StdioEntry
from protocol.target import BoxSpec
from providers.mcp.connection import Connection
from providers.mcp.servers import Servers
from targets.docker import DockerHost
from targets.images import mcp_tag, resolve_image
from targets.program import Program, launch
from tests import mcp_program
from tests.mcp_peers import peer
from tests.mcp_server import ASK

pytestmark = pytest.mark.docker

RUN = RunId("run_1")
LIMITS = {"memory_mb": 256, "disk_mb": 16}


class Wanted(NamedTuple):
    """What a peer is asked, and what its answers hold."""

    entry: McpServerEntry
    echo: str
    asks: str
    content: dict[str, Any]


def has_npm() -> bool:
    found = subprocess.run(["docker", "images", "-q", mcp_tag()], capture_output=True, text=True, check=True)
    return bool(found.stdout.strip())


def stdio(*command: str, image: str) -> McpServerEntry:
    body = {"command": command, "image": image, "limits": LIMITS}
    return McpServerEntry.model_validate({"stdio": body, "recheck_ms": 0})


@pytest.fixture
def everything_in_a_box() -> Wanted:
    if has_npm():
        entry = stdio("mcp-server-everything", "stdio", image="mcp")
        return Wanted(entry, "Echo: hi", "trigger-elicitation-request", {"name": "Ada"})
    entry = stdio("python3", "-c", Path(mcp_program.__file__).read_text(), image="default")
    return Wanted(entry, "Echo: hi", "ask", {"name": "Ada"})


@pytest.fixture
def everything_over_http(tmp_path: Path) -> Iterator[Wanted]:
    if not has_npm():
        with peer("tests.mcp_server", tmp_path) as running:
            running.offer(ASK, ASK | {"name": "echo"})
            yield Wanted(running.entry(), "echo was called", "ask", {"name": "Ada"})
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    name = f"mcp-peer-{port}"
    words = [
        "--name",
        name,
        "--network",
        "host",
        "-e",
        f"PORT={port}",
        mcp_tag(),
        "mcp-server-everything",
        "streamableHttp",
    ]
    with subprocess.Popen(["docker", "run", "--rm", "-i", *words], stdin=subprocess.PIPE):
        url = f"http://127.0.0.1:{port}/mcp"
        entry = McpServerEntry.model_validate({"url": url, "private_network": True, "recheck_ms": 0})
        try:
            yield Wanted(entry, "Echo: hi", "trigger-elicitation-request", {"name": "Ada"})
        finally:
            subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=True)


@pytest.fixture
async def servers(host: DockerHost) -> AsyncIterator[list[Servers]]:
    made: list[Servers] = []
    yield made
    for one in made:
        await one.close()


async def opened(host: DockerHost, made: list[Servers], entry: McpServerEntry) -> Connection:
    async def start(_: RunId, __: str, program: StdioEntry) -> Program:
        spec = BoxSpec(image=resolve_image(program.image), limits=program.limits)
        return await launch(host, spec, program.command, program.env)

    made.append(Servers({"peer": entry}, lambda _: "", start))
    deadline = asyncio.get_running_loop().time() + 60
    while True:
        try:
            return await made[-1].connection(RUN, "peer")
        except Unavailable:  # it is starting
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.1)


def text_of(answer: Any) -> str:
    assert isinstance(answer, Said), answer
    return json.dumps(answer.content)


async def talk(connection: Connection, wanted: Wanted) -> None:
    assert connection.facts.protocol_version in ("2025-11-25", "2026-07-28")
    assert wanted.asks in await connection.listing("tools")
    said = await connection.call("tools", "echo", {"message": "hi"}, key="k", seconds=20)
    assert wanted.echo in text_of(said)
    asks = await connection.call("tools", wanted.asks, {}, key="asks", seconds=20)
    assert isinstance(asks, Asks), asks
    question = asks.exchange.pending
    assert question is not None
    subject = subject_of("peer", wanted.asks, question)
    assert answer_fault(subject, wanted.content) is None
    assert answer_fault(subject, {"never": "asked"}) is not None
    reply = Reply(action="accept", content=with_defaults(subject, wanted.content))
    told = asks.exchange.told(reply)
    answer = await connection.call("tools", wanted.asks, {}, key="asks", seconds=20, exchange=told)
    assert "Ada" in text_of(answer)


async def test_a_program_in_a_box_is_talked_with_and_its_box_goes_with_the_session(
    host: DockerHost, servers: list[Servers], everything_in_a_box: Wanted
) -> None:
    connection = await opened(host, servers, everything_in_a_box.entry)
    await talk(connection, everything_in_a_box)
    assert len(await host.boxes()) == 1
    await servers[0].close()
    assert await host.boxes() == ()


async def test_a_server_over_http_is_talked_with(
    host: DockerHost, servers: list[Servers], everything_over_http: Wanted
) -> None:
    await talk(await opened(host, servers, everything_over_http.entry), everything_over_http)
