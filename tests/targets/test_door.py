"""The one way out that a box may be given: a socket, and nothing beside it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.target import BoxSpec
from targets.agent import AgentTarget
from targets.docker import DockerHost
from targets.posture import fallen
from tests.conformance.target_suite import box_id, ran

pytestmark = pytest.mark.docker


@pytest.fixture
async def door() -> AsyncIterator[Path]:
    """A folder with a socket behind which somebody answers."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        line = head.splitlines()[0]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(line), line))
        await writer.drain()
        writer.close()

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        server = await asyncio.start_unix_server(answer, folder / "door")
        (folder / "door").chmod(0o666)
        yield folder
        server.close()


@pytest.fixture
async def target(pooled: DockerHost, spec: BoxSpec, door: Path) -> AgentTarget:
    await pooled.warm(spec)
    await pooled.pool.filled()
    place = await pooled.create(spec.model_copy(update={"door": str(door)}), box_id())
    assert pooled.pool.idle == 2, "a warm box has no door"
    return await pooled.attach(place)


async def test_a_door_is_the_only_way_out_and_all_walls_stand_beside_it(
    target: AgentTarget, door: Path
) -> None:
    assert fallen(await target.posture()) == ()
    proxied = await ran(target, "bash", "-c", "curl -sS -x http://127.0.0.1:3128 http://example.org/x")
    assert proxied.stdout == b"GET http://example.org/x HTTP/1.1"
    past = await ran(
        target, "bash", "-c", "curl -sS -m 5 http://192.0.2.1/; touch /rhone-egress/x; rm /rhone-egress/door"
    )
    assert past.exit.exit_code != 0
    assert [path.name for path in door.iterdir()] == ["door"]


async def test_a_door_behind_which_nobody_is_says_so(target: AgentTarget, door: Path) -> None:
    (door / "door").unlink()
    said = await ran(target, "bash", "-c", "curl -sS -m 5 -x http://127.0.0.1:3128 http://example.org/x")
    assert said.stdout == b"the egress proxy does not answer"
