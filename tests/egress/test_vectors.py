"""What a real box reaches: what is granted, and nothing of all the rest."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from capabilities.egress import TRUST, environment
from protocol.ids import RunId, fresh
from protocol.target import BoxLimits, BoxSpec
from targets.agent import AgentTarget
from targets.agent_binary import agent_path
from targets.docker import DockerHost
from targets.images import default_tag
from tests.conformance.target_suite import box_id, ran
from tests.egress.vectors import PROBE, Vector, services, vectors
from tests.egress.world import Outside, entry, outside

pytestmark = [pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

GRANTED = ("api.test", "plain.test", "tunnel.test", "empty.test")
INWARD = {
    "private.test": ["10.0.0.5"],
    "metadata.test": ["169.254.169.254"],
    "mixed.test": ["93.184.215.14", "10.0.0.5"],
    "mapped.test": ["::ffff:127.0.0.1"],
    "translated.test": ["64:ff9b::7f00:1"],
    "local.test": ["127.0.0.1"],
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Outside]:
    async with outside(tmp_path_factory.mktemp("egress")) as made:
        made.names = INWARD | {name: ["127.0.0.1"] for name in GRANTED}
        await made.open(entry(made.upstream, GRANTED))
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def run(world: Outside) -> RunId:
    port, plain = world.upstream.port, world.upstream.plain_port
    inward = [{"host": name, "port": port} for name in (*INWARD, "nowhere.test")]
    return await world.run(
        {"rules": [{"host": "api.test", "port": port, "paths": ["/v1/**", "/away"]}, *inward]},
        {"rules": [{"host": "plain.test", "port": plain, "scheme": "http"}]},
        {"rules": [{"host": "tunnel.test", "port": port, "tunnel": True}]},
        {"rules": [{"host": "empty.test", "port": port, "methods": []}]},
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def box(world: Outside, run: RunId) -> AsyncGenerator[AgentTarget]:
    cache = Path(os.environ.get("RHONE_DATA", Path(__file__).parents[2] / ".data")) / "cache"
    host = DockerHost(agent_path(cache), pool_size=0, label=fresh("req_"))
    door = await world.door(run)
    spec = BoxSpec(image=default_tag(), limits=BoxLimits(memory_mb=512, disk_mb=128), door=str(door))
    place = await host.create(spec, box_id())
    yield await host.attach(place)
    await host.remove(place)
    await host.close()


async def test_what_is_granted_is_reached_by_curl_python_and_git(
    world: Outside, run: RunId, box: AgentTarget
) -> None:
    port, plain = world.upstream.port, world.upstream.plain_port
    script = f"""
    curl -sS https://api.test:{port}/v1/curl
    curl -sS http://plain.test:{plain}/plain
    python3 -c 'import urllib.request as u; print(u.urlopen("https://api.test:{port}/v1/python").read())'
    git ls-remote https://api.test:{port}/v1/git 2>&1 | head -1
    """
    env = dict(environment(await world.snapshot(run)))
    assert env["SSL_CERT_FILE"] == TRUST
    said = await ran(box, "bash", "-c", script, env=env)
    assert said.stdout.count(b"CANARY") >= 3, said
    for target in ("/v1/curl", "/plain", "/v1/python", "/v1/git/info/refs?service=git-upload-pack"):
        assert world.upstream.of(target), (target, said)


async def test_no_vector_leads_out_and_each_denial_at_the_proxy_is_an_event(
    world: Outside, run: RunId, box: AgentTarget
) -> None:
    """SBX-10."""
    port, plain = world.upstream.port, world.upstream.plain_port
    tried = vectors(port, plain, _machine())
    assert len(tried) >= 60
    before = len(world.upstream.came)
    found = await _tried(world, run, box, tried)
    assert [name for name, one in found.items() if one["passed"]] == []
    assert [came.target for came in world.upstream.came[before:]] == ["/away"]
    told = [(denial["rule"], denial.get("host")) for denial in await world.denials(run)]
    silent = [
        one.name
        for one in tried
        if one.rule and not any(one.rule == rule and one.host in (None, host) for rule, host in told)
    ]
    assert silent == []
    assert len(await world.audited(run)) >= len(told)


SERVICES = (
    *("the gateway", "the administration of the gateway", "Temporal", "Temporal's pages", "PostgreSQL"),
    *("the container engine", "the forge", "another box", "the host's SSH", "the metrics of a worker"),
    "an MCP server",
)


async def test_no_service_of_the_machine_is_reached(world: Outside, run: RunId, box: AgentTarget) -> None:
    """SBX-11, and APR-07 of a box with egress: each service is a listener of ours that nobody may come to."""
    came: list[str] = []
    listeners: list[asyncio.Server] = []
    tried: list[Vector] = []
    for service in SERVICES:

        def welcome(_: object, writer: asyncio.StreamWriter, service: str = service) -> None:
            came.append(service)
            writer.close()

        listener = await asyncio.start_server(welcome, "0.0.0.0", 0)
        listeners.append(listener)
        port = listener.sockets[0].getsockname()[1]
        tried += [one._replace(name=f"{service}, {one.name}") for one in services(port, _machine())]
    found = await _tried(world, run, box, tried)
    assert [name for name, one in found.items() if one["passed"]] == []
    assert came == []
    for listener in listeners:
        listener.close()


async def _tried(
    world: Outside, run: RunId, box: AgentTarget, tried: list[Vector]
) -> dict[str, dict[str, Any]]:
    """What the box says of each, all in one run of a script."""
    env = dict(environment(await world.snapshot(run)))
    words = json.dumps([{"name": one.name, "kind": one.kind, "words": one.words} for one in tried])
    said = await ran(box, "python3", "-c", PROBE, env=env, stdin=words.encode(), timeout_ms=110_000)
    found = {one["name"]: one for one in map(json.loads, said.stdout.splitlines())}
    assert set(found) == {one.name for one in tried}, said
    return found


def _machine() -> str:
    """An address of this machine that others would use."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("192.0.2.1", 9))
        return str(sock.getsockname()[0])
