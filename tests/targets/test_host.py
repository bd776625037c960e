"""A Docker host: warm boxes, boxes that are told apart, and what happens when it cannot serve."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.errors import Refused, TargetLost, TargetRefused, TargetUnavailable
from protocol.ids import fresh
from protocol.target import BoxPlace, BoxSpec, Command
from targets.docker import DockerHost
from targets.images import default_tag
from tests.conformance.target_suite import box_id, eventually, execution_id, heard, ran
from tests.targets.relay import Relay

pytestmark = pytest.mark.docker


async def test_a_warm_box_is_handed_out_in_no_time(pooled: DockerHost, spec: BoxSpec) -> None:
    began = time.monotonic()
    await pooled.create(spec, box_id())
    cold = time.monotonic() - began
    warm: list[float] = []
    for _ in range(5):
        await pooled.pool.filled()
        began = time.monotonic()
        place = await pooled.create(spec, box_id())
        target = await pooled.attach(place)
        warm.append(time.monotonic() - began)
        assert (await ran(target, "echo", "warm")).stdout == b"warm\n"
        await pooled.remove(place)
    assert min(warm) <= 0.03 * cold  # what else the machine does makes it slower, and never faster


async def test_each_warm_box_is_handed_out_once(pooled: DockerHost, spec: BoxSpec) -> None:
    await pooled.warm(spec)
    await pooled.pool.filled()
    places = await asyncio.gather(*(pooled.create(spec, box_id()) for _ in range(4)))
    assert len({place.container_id for place in places}) == 4


async def test_a_box_of_another_kind_is_not_handed_out(pooled: DockerHost, spec: BoxSpec) -> None:
    await pooled.warm(spec)
    await pooled.pool.filled()
    other = spec.model_copy(update={"limits": spec.limits.model_copy(update={"pids": 100})})
    place = await pooled.create(other, box_id())
    assert (await pooled.inspect(place))["PidsLimit"] == 100
    assert place.pool_key != (await pooled.create(spec, box_id())).pool_key


async def test_a_warm_box_that_died_is_not_handed_out(pooled: DockerHost, spec: BoxSpec) -> None:
    await pooled.warm(spec)
    await pooled.pool.filled()
    for _, container in await pooled.boxes():
        await pooled.remove(BoxPlace(container_id=container, host=pooled.name, image_digest="", pool_key=""))

    async def noticed() -> bool:
        return pooled.pool.idle == 0

    await eventually(noticed)
    target = await pooled.attach(await pooled.create(spec, box_id()))
    assert (await ran(target, "echo", "alive")).stdout == b"alive\n"


async def test_a_handed_out_box_is_named_so_that_any_worker_knows_it(agent: Path, spec: BoxSpec) -> None:
    label = fresh("req_")
    first, second = (DockerHost(agent, pool_size=1, label=label) for _ in range(2))
    stranger = DockerHost(agent, pool_size=0, label=fresh("req_"))
    await first.warm(spec)
    await first.pool.filled()
    box = box_id()
    place = await first.create(spec, box)
    assert (box, place.container_id) in await first.boxes()

    async def named() -> bool:
        return (box, place.container_id) in await second.boxes()

    await eventually(named)
    await first.pool.filled()
    assert sorted(str(box) for box, _ in await second.boxes()) == sorted([box, "None"])
    assert await stranger.boxes() == ()
    await first.close()
    assert await second.boxes() == ((box, place.container_id),), "a pool is drained when its worker ends"
    assert (await ran(await second.attach(place), "echo", "mine")).stdout == b"mine\n"
    await second.remove(place)
    await second.close()
    await stranger.close()


WORKER = """
import asyncio, sys
from pathlib import Path
from protocol.target import BoxSpec
from targets.docker import DockerHost

async def main(agent, label, spec, box):
    host = DockerHost(Path(agent), pool_size=2, label=label)
    await host.warm(BoxSpec.model_validate_json(spec))
    await host.pool.filled()
    place = await host.create(BoxSpec.model_validate_json(spec), box)
    await asyncio.sleep(1)
    await host.pool.filled()
    print(place.model_dump_json(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.faults
async def test_the_pool_of_a_killed_worker_ends_by_itself_and_its_boxes_do_not(
    agent: Path, spec: BoxSpec
) -> None:
    label, box = fresh("req_"), box_id()
    argv = [sys.executable, "-c", WORKER, str(agent), label, spec.model_dump_json(), box]
    worker = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
    assert worker.stdout is not None
    place = BoxPlace.model_validate_json(await worker.stdout.readline())
    alive = DockerHost(agent, pool_size=0, label=label)
    assert len(await alive.boxes()) == 3
    worker.kill()
    await worker.wait()

    async def only_the_box_is_left() -> bool:
        return await alive.boxes() == ((box, place.container_id),)

    await eventually(only_the_box_is_left, seconds=60)
    assert (await ran(await alive.attach(place), "echo", "there")).stdout == b"there\n"
    await alive.remove(place)
    await alive.close()


async def test_an_engine_that_goes_away_is_noticed_by_the_pool(
    agent: Path, spec: BoxSpec, tmp_path: Path
) -> None:
    """The engine behind a relay that is then cut: no warm box of it is handed out any more."""
    relay = await Relay.over(tmp_path / "engine.sock")
    host = DockerHost(agent, pool_size=1, label=fresh("req_"), engine=f"unix://{tmp_path}/engine.sock")
    await host.warm(spec)
    await host.pool.filled()
    place = await host.create(spec, box_id())
    target = await host.attach(place)
    execution = execution_id()
    await target.start(execution, Command(argv=("sleep", "600")))
    await relay.cut()
    for act in (host.create(spec, box_id()), target.read("x", limit=1), heard(target, execution)):
        with pytest.raises(TargetUnavailable) as refused:
            await act
        assert refused.value.code == "target.engine_away"
    await relay.mend()
    await target.kill(execution)
    assert (await heard(target, execution)).exit.killed
    await host.remove(place)
    await host.close()


async def test_an_engine_that_is_away_runs_nothing(agent: Path, spec: BoxSpec, tmp_path: Path) -> None:
    host = DockerHost(agent, pool_size=2, label="x", engine=f"unix://{tmp_path}/no.sock")
    place = BoxPlace(container_id="0" * 64, host="host-x", image_digest="", pool_key="")
    for act in (
        host.check(),
        host.create(spec, box_id()),
        host.warm(spec),
        host.attach(place),
        host.inspect(place),
        host.remove(place),
        host.boxes(),
    ):
        with pytest.raises(TargetUnavailable) as refused:
            await act
        assert refused.value.code == "target.engine_away"
    with pytest.raises(TargetUnavailable):
        _ = host.name
    await host.close()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"image": "rhone/no-such-image:1"}, "target.image_missing"),
        ({"image": "NOT A NAME"}, "target.image_refused"),
        ({"runtime": "no-such-runtime"}, "target.box_refused"),
    ],
)
async def test_a_box_that_cannot_be_made_as_asked_is_refused(
    pooled: DockerHost, spec: BoxSpec, change: dict[str, str], code: str
) -> None:
    with pytest.raises(Refused) as refused:
        await pooled.create(spec.model_copy(update=change), box_id())
    assert refused.value.code == code
    await pooled.pool.filled()
    assert await pooled.boxes() == ()


async def test_an_agent_that_is_not_built_is_told(tmp_path: Path, spec: BoxSpec) -> None:
    host = DockerHost(tmp_path / "agent", pool_size=0, label="x")
    with pytest.raises(TargetUnavailable) as refused:
        await host.create(spec, box_id())
    assert refused.value.code == "target.agent_missing"
    await host.close()


async def test_what_answers_in_the_agents_place_is_condemned(tmp_path: Path) -> None:
    fake = tmp_path / "agent"
    fake.write_text("#!/bin/sh\n[ $1 = init ] && exec sleep 600\nhead -c 8 >&2; echo not our frames at all\n")
    fake.chmod(0o755)
    host = DockerHost(fake, pool_size=0, label=fresh("req_"))
    place = await host.create(BoxSpec(image=default_tag()), box_id())
    with pytest.raises(TargetLost) as lost:
        await host.attach(place)
    assert lost.value.code == "target.misbehaved"
    assert await host.boxes() == ()
    await host.close()


@pytest.fixture
async def weak_engine(tmp_path: Path) -> AsyncIterator[str]:
    """An engine that answers, and has no seccomp."""
    answers = {
        "/version": {"ApiVersion": "1.41"},
        "/info": {"ID": "A:B", "OSType": "linux", "SecurityOptions": []},
    }

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode()
        path = "/" + line.split()[1].rpartition("/")[2]
        body = json.dumps(answers[path]).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(serve, tmp_path / "engine.sock")
    yield f"unix://{tmp_path}/engine.sock"
    server.close()


async def test_an_engine_without_seccomp_runs_nothing(agent: Path, spec: BoxSpec, weak_engine: str) -> None:
    host = DockerHost(agent, pool_size=0, label="x", engine=weak_engine)
    with pytest.raises(TargetUnavailable) as refused:
        await host.create(spec, box_id())
    assert refused.value.code == "target.engine_weak"
    await host.close()


async def test_an_engine_without_an_image_is_not_asked_to_fetch_it(pooled: DockerHost, spec: BoxSpec) -> None:
    with pytest.raises(TargetRefused):
        await pooled.create(spec.model_copy(update={"image": "example.invalid/x:1"}), box_id())
