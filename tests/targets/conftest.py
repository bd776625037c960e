"""A real engine with the agent of this source and the default workspace image; set-up makes both."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.ids import fresh
from protocol.target import BoxLimits, BoxPlace, BoxSpec
from targets.agent import AgentTarget
from targets.agent_binary import agent_path
from targets.docker import DockerHost
from targets.images import default_tag
from tests.conformance.target_suite import box_id

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def agent() -> Path:
    path = agent_path(Path(os.environ.get("RHONE_DATA", CHECKOUT / ".data")) / "cache")
    assert path.exists(), f"{path} is not built; run make setup"
    return path


@pytest.fixture
def spec() -> BoxSpec:
    return BoxSpec(image=default_tag(), limits=BoxLimits(memory_mb=512, disk_mb=128))


@pytest.fixture
async def host(agent: Path) -> AsyncIterator[DockerHost]:
    host = DockerHost(agent, pool_size=0, label=fresh("req_"))
    yield host
    await _swept(host)


@pytest.fixture
async def pooled(agent: Path) -> AsyncIterator[DockerHost]:
    host = DockerHost(agent, pool_size=2, label=fresh("req_"))
    yield host
    await _swept(host)


@pytest.fixture
async def target(host: DockerHost, spec: BoxSpec) -> AgentTarget:
    return await host.attach(await host.create(spec, box_id()))


async def _swept(host: DockerHost) -> None:
    await host.pool.close()
    for _, container in await host.boxes():
        place = BoxPlace(container_id=container, host=host.name, image_digest="", pool_key="")
        await host.remove(place)
    await host.close()
