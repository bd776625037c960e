"""What a box cannot do: leave its root, hurt its neighbours, silence its agent, act on a host."""

import asyncio
import hashlib
import statistics
import time
from pathlib import Path

import pytest

from protocol.errors import TargetRefused
from protocol.ids import fresh
from protocol.target import BoxLimits, BoxSpec, Command, Offsets
from targets.agent import AgentTarget
from targets.docker import DockerHost
from targets.posture import CHECKS, fallen
from tests.conformance.target_suite import box_id, execution_id, heard, ran
from tests.targets.test_commands import shell

pytestmark = pytest.mark.docker


async def test_each_of_the_25_walls_stands(target: AgentTarget) -> None:
    posture = await target.posture()
    assert len(CHECKS) == 25
    assert fallen(posture) == (), posture


async def test_what_the_engine_says_is_what_was_asked_for(host: DockerHost, spec: BoxSpec) -> None:
    place = await host.create(spec, box_id())
    said = await host.inspect(place)
    assert said["container_id"] == place.container_id
    assert said["image_digest"] == place.image_digest
    expected = {
        "user": "1000:1000",
        "CapDrop": ["ALL"],
        "CapAdd": None,
        "SecurityOpt": ["no-new-privileges"],
        "Privileged": False,
        "ReadonlyRootfs": True,
        "NetworkMode": "none",
        "Memory": spec.limits.memory_mb * 1024 * 1024,
        "MemorySwap": spec.limits.memory_mb * 1024 * 1024,
        "NanoCpus": 1_000_000_000,
        "PidsLimit": spec.limits.pids,
        "mounts": [{"destination": "/rhone-agent", "writable": False}],
    }
    assert {name: said[name] for name in expected} == expected


async def _pace(target: AgentTarget) -> float:
    """The 95th percentile of a small command, in seconds."""
    times: list[float] = []
    for _ in range(40):
        began = time.monotonic()
        await ran(target, "true")
        times.append(time.monotonic() - began)
    return statistics.quantiles(times, n=20)[-1]


TRIES = 4
"""Whatever else the machine does makes the neighbour slower, and never faster: the best try counts."""

BOMBS = {
    "a fork bomb": "bomb() { bomb | bomb & }; bomb; sleep 600",
    "four times the memory": "python3 -c 'x = bytearray(4 * 512 * 1024 * 1024); print(len(x))'",
    "ten times the disk": "for d in /tmp /workspace; do dd if=/dev/zero of=$d/big bs=1M count=1280; done",
    "a million files": "python3 -c \"[open(f'/workspace/{i}', 'w').close() for i in range(1_000_000)]\"",
    "every descriptor": "python3 -c \"k = [open('/dev/null') for _ in range(1_000_000)]\"",
    "a gibibyte of output": "head -c 1073741824 /dev/zero",
}


@pytest.mark.slow
@pytest.mark.parametrize("bomb", list(BOMBS))
async def test_a_bomb_harms_nobody_but_its_own_command(host: DockerHost, spec: BoxSpec, bomb: str) -> None:
    target = await host.attach(await host.create(spec, box_id()))
    neighbour = await host.attach(await host.create(spec, box_id()))
    for _ in range(TRIES):
        quiet = await _pace(neighbour)
        execution = execution_id()
        await target.start(execution, shell(BOMBS[bomb], timeout_ms=60_000))
        following = asyncio.ensure_future(heard(target, execution))
        await asyncio.wait([following], timeout=0.3)
        loud = await _pace(neighbour)
        if bomb in ("a fork bomb",):
            await target.kill(execution)
        said = await following
        await target.kill(execution)
        if loud < max(3 * quiet, 0.25):
            break
    else:
        pytest.fail(f"the neighbour's p95 went from {quiet:.4f} to {loud:.4f} s")
    if bomb == "a gibibyte of output":
        assert (said.exit.stdout_bytes, len(said.stdout)) == (1 << 30, 1 << 20)
        zeros = hashlib.sha256()
        for _ in range(1024):
            zeros.update(bytes(1 << 20))
        assert said.exit.stdout_digest == "sha256:" + zeros.hexdigest()
    else:
        assert said.exit.exit_code != 0
    await ran(target, "bash", "-c", "rm -rf /workspace/* /tmp/*")
    await target.write("after", b"alive")
    assert await target.read("after", limit=10) == b"alive"
    left = await ran(target, "bash", "-c", "cat /proc/[0-9]*/stat 2>/dev/null | wc -l")
    assert int(left.stdout) < 10
    assert fallen(await target.posture()) == ()


FILL = """
import os, time
try:
    while os.fork():
        pass
    time.sleep(600)
except OSError:
    pass
"""


async def test_a_bomb_that_was_left_behind_makes_way_for_the_next_command(
    host: DockerHost, spec: BoxSpec
) -> None:
    target = await host.attach(await host.create(spec, box_id()))
    await ran(target, "python3", "-c", FILL)
    assert (await ran(target, "echo", "next")).stdout == b"next\n"


RACE = """
import ctypes, os
os.makedirs("/tmp/outside/deep", exist_ok=True)
for d in ("/workspace/real", "/workspace/real/deep"):
    os.makedirs(d, exist_ok=True)
for root, word in (("/tmp/outside", "SECRET"), ("/workspace/real", "inside")):
    for name in ("file", "deep/file"):
        open(f"{root}/{name}", "w").write(word)
os.symlink("/tmp/outside", "/workspace/link")
os.symlink("../tmp/outside", "/workspace/up")
os.symlink("/proc/self/root/tmp/outside", "/workspace/magic")
syscall = ctypes.CDLL(None, use_errno=True).syscall
swap = lambda a, b: syscall(316, -100, a, -100, b, 2)
os.rename("/workspace/real", "/workspace/d")
print("ready", flush=True)
while True:
    for other in (b"/workspace/link", b"/workspace/up", b"/workspace/magic"):
        swap(b"/workspace/d", other)
        swap(b"/workspace/d", other)
    os.unlink("/workspace/d/file"); os.symlink("/tmp/outside/file", "/workspace/d/file")
    os.unlink("/workspace/d/file"); open("/workspace/d/file", "w").write("inside")
"""


async def _read(target: AgentTarget, i: int) -> None:
    assert await target.read(("d/file", "d/deep/file")[i % 2], limit=100) in (b"inside", b"")


async def _write(target: AgentTarget, i: int) -> None:
    await target.write((f"d/new{i}", f"d/deep/new{i}")[i % 2], b"x")


async def _list(target: AgentTarget, i: int) -> None:
    for name in await target.glob("**", limit=10_000):
        assert name in ("d", "link", "up", "magic") or name.split("/")[0] in ("d", "link", "up", "magic")
    for match in await target.grep("SECRET|inside", path=".", glob="", limit=100):
        assert match.text == "inside"


async def _enter(target: AgentTarget, i: int) -> None:
    execution = execution_id()
    await target.start(execution, Command(argv=("pwd", "-P"), cwd="/workspace/d/deep"))
    where = (await heard(target, execution)).stdout.decode().strip()
    assert where.startswith("/workspace/"), where


@pytest.mark.slow
async def test_no_race_of_names_and_links_leaves_the_root(target: AgentTarget) -> None:
    race = execution_id()
    await target.start(race, Command(argv=("python3", "-c", RACE), timeout_ms=600_000))
    async for _ in target.follow(race, Offsets()):
        break
    done, refused = 0, 0
    for i in range(275):
        for act in (_read, _write, _list, _enter):
            done += 1
            try:
                await act(target, i)
            except TargetRefused as fault:
                assert fault.code in ("target.path_refused", "target.not_found", "target.not_a_file"), fault
                refused += 1
    await target.kill(race)
    outside = await ran(target, "bash", "-c", "cd /tmp/outside; find . -type f | sort; cat file deep/file")
    assert outside.stdout == b"./deep/file\n./file\nSECRETSECRET"
    assert done >= 1000
    assert 0 < refused < done, "some lost the race and some did not"


async def test_the_shell_sees_nothing_of_the_host(target: AgentTarget, tmp_path: Path) -> None:
    canary = tmp_path / f"canary-{fresh('req_')}"
    canary.write_text("host")
    looks = f"""
    cat {canary} /proc/1/root{canary} /proc/*/root{canary} /proc/*/cwd/../../..{canary} 2>/dev/null
    cat /workspace/../../../../..{canary} 2>/dev/null
    find / -xdev -name '{canary.name}' 2>/dev/null
    find /proc/*/root/ -maxdepth 3 -name '{canary.name}' 2>/dev/null
    echo x > {canary} 2>/dev/null; rm -rf {canary.parent} 2>/dev/null; true
    """
    assert (await ran(target, "bash", "-c", looks)).stdout == b""
    assert canary.read_text() == "host"


@pytest.mark.parametrize("link", ["/etc", "/proc/self/fd", "/proc/self/root", "../../etc", "/proc/1/cwd"])
async def test_a_working_directory_behind_a_link_outward_is_refused(target: AgentTarget, link: str) -> None:
    await ran(target, "ln", "-s", link, "link")
    with pytest.raises(TargetRefused) as refused:
        await target.start(execution_id(), Command(argv=("pwd",), cwd="link"))
    assert refused.value.code in ("target.path_refused", "target.not_found")


async def test_links_that_stay_inside_are_followed(target: AgentTarget) -> None:
    await target.write("real/file", b"one")
    await ran(
        target,
        "bash",
        "-c",
        "ln -s real dir; ln -s real/file file; ln -s ../real/file real/again; chmod 755 real/file",
    )
    assert await target.read("dir/file", limit=9) == b"one"
    await target.write("file", b"two")
    await target.write("dir/again", b"three")
    assert await target.read("real/file", limit=9) == b"three"
    said = await ran(target, "bash", "-c", "readlink file real/again; stat -c %a real/file; ls -A real")
    assert said.stdout == b"real/file\n../real/file\n755\nagain\nfile\n"
    await ran(
        target,
        "bash",
        "-c",
        "mkdir -p .git/hooks; ln -s .git/hooks innocent; ln -s innocent/x y; mkfifo pipe",
    )
    for path in ("innocent/pre-commit", "y"):
        with pytest.raises(TargetRefused) as refused:
            await target.write(path, b"x")
        assert refused.value.code == "target.path_protected"
    with pytest.raises(TargetRefused) as refused:
        await target.read("pipe", limit=1)
    assert refused.value.code == "target.not_a_file"


@pytest.mark.parametrize(
    "limits", [BoxLimits(memory_mb=256, disk_mb=256), BoxLimits(memory_mb=64, disk_mb=60)]
)
async def test_a_disk_that_does_not_fit_in_the_memory_is_refused(
    host: DockerHost, spec: BoxSpec, limits: BoxLimits
) -> None:
    with pytest.raises(TargetRefused) as refused:
        await host.create(spec.model_copy(update={"limits": limits}), box_id())
    assert refused.value.code == "target.limits_refused"


async def test_the_smallest_box_works(host: DockerHost, spec: BoxSpec) -> None:
    small = spec.model_copy(update={"limits": BoxLimits(memory_mb=64, disk_mb=16, pids=64, cpus=0.5)})
    target = await host.attach(await host.create(small, box_id()))
    assert (await ran(target, "git", "--version")).exit.exit_code == 0
    assert fallen(await target.posture()) == ()
