"""`sandbox`: a warm box beside a cold one, commands by the agent beside bare processes, a tree kept."""

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path
from statistics import median

from bench.figures import Goal, Pair, Row, alone
from bench.scale import Scale
from cli.settings import read_settings
from protocol.ids import BoxId, ToolExecutionId, fresh
from protocol.target import BoxLimits, BoxPlace, BoxSpec, Command, Offsets
from targets.agent_binary import agent_path
from targets.docker import DockerHost
from targets.images import default_tag
from targets.target import Target

AT_ONCE = 50
FILES = 2_000
CHANGED = 5
SHELL = ("bash", "-c", "echo ok")
QUIET_S = 0.5

_numbers = count()


async def measure(scale: Scale) -> list[Row]:
    handed_out: list[Pair] = []
    at_once: list[Pair] = []
    single: list[Pair] = []
    trees: list[float] = []
    for _ in range(scale.repeats):
        handed_out.append(await _hand_out(scale.of(8, 3), scale.of(20, 6)))
        async with _box() as target:
            single.append(await _commands(target, scale.of(60, 30)))
            at_once.append(await _together(target, scale.of(6, 3)))
            trees.append(await _checkpoints(target, scale.of(10, 4)))
    tree = f"a step's checkpoint of a tree of {FILES:,} files, {CHANGED} of them changed"
    return [
        Row("warm hand-out, p50 : cold start, p50", "ms", tuple(handed_out), (Goal("<=", 0.03),)),
        Row(f"{AT_ONCE} commands at once : bare spawns", "/s", tuple(at_once), (Goal(">=", 0.7),)),
        Row("agent command, p50 : bare spawn, p50", "ms", tuple(single), (Goal("<=", 3.0),)),
        Row(tree, "ms", tuple(alone(one) for one in trees)),
    ]


async def _hand_out(cold: int, warm: int) -> Pair:
    """From the wish for a box to one that takes commands."""
    async with _host(0) as host:
        cold_starts = [await _box_ms(host) for _ in range(cold)]
    async with _host(2) as host:
        warm_ones: list[float] = []
        for _ in range(warm):
            await host.warm(_spec())
            await host.pool.filled()
            await asyncio.sleep(QUIET_S)
            warm_ones.append(await _box_ms(host))
    return Pair(base=median(cold_starts), ours=median(warm_ones))


async def _box_ms(host: DockerHost) -> float:
    began = time.monotonic()
    place = await host.create(_spec(), BoxId(fresh("box_")))
    await host.attach(place)
    took = time.monotonic() - began
    await host.remove(place)
    return 1000 * took


async def _commands(target: Target, count: int) -> Pair:
    """Milliseconds of a command, in turn with a process that is only spawned."""
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(count):
        bare.append(_spawn_ms())
        ours.append(await _timed(partial(_command, target)))
    return Pair(base=median(bare), ours=median(ours))


async def _together(target: Target, rounds: int) -> Pair:
    """Commands a second, all at once."""
    ours: list[float] = []
    bare: list[float] = []
    for _ in range(rounds):
        bare.append(await _timed(lambda: asyncio.gather(*(_spawned() for _ in range(AT_ONCE)))))
        ours.append(await _timed(lambda: asyncio.gather(*(_command(target) for _ in range(AT_ONCE)))))
    return Pair(base=1000 * AT_ONCE / median(bare), ours=1000 * AT_ONCE / median(ours))


async def _timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.monotonic()
    await work()
    return 1000 * (time.monotonic() - began)


async def _command(target: Target) -> None:
    execution = ToolExecutionId(f"bench-{os.getpid()}-{next(_numbers)}")
    await target.start(execution, Command(argv=SHELL))
    async for _ in target.follow(execution, Offsets()):
        pass


def _spawn_ms() -> float:
    """The quickest that Python has, with nothing else in its way."""
    began = time.monotonic()
    subprocess.run(SHELL, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    return 1000 * (time.monotonic() - began)


async def _spawned() -> None:
    process = await asyncio.create_subprocess_exec(
        *SHELL, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    await process.communicate()


async def _checkpoints(target: Target, steps: int) -> float:
    """Milliseconds of a checkpoint, each since the one before."""
    with tempfile.TemporaryDirectory() as folder:
        commit, bundle = await asyncio.to_thread(_repository, Path(folder))
    await target.seed(bundle, commit=commit, branch="main")
    since, took = commit, list[float]()
    for step in range(steps + 1):
        for number in range(CHANGED):
            await target.write(f"folder{number}/file{step}.txt", f"step {step}\n".encode())
        began = time.monotonic()
        saved = await target.checkpoint(since=since)
        took.append(1000 * (time.monotonic() - began))
        assert saved is not None
        since = saved.commit
    return median(took[1:])


def _repository(folder: Path) -> tuple[str, bytes]:
    def git(*arguments: str) -> str:
        who = ("-c", "user.name=bench", "-c", "user.email=bench@example.org")
        ran = subprocess.run(
            ("git", *who, *arguments), cwd=folder, check=True, capture_output=True, text=True
        )
        return ran.stdout.strip()

    git("init", "-q", "-b", "main")
    for number in range(FILES):
        file = folder / f"folder{number % 40}" / f"file{number}.txt"
        file.parent.mkdir(exist_ok=True)
        file.write_text(f"line of file {number}\n" * 40)
    git("add", "-A")
    git("commit", "-q", "-m", "All files")
    git("bundle", "create", "-q", "all.bundle", "main")
    return git("rev-parse", "HEAD"), (folder / "all.bundle").read_bytes()


def _spec() -> BoxSpec:
    """As many processors as the bare processes have."""
    return BoxSpec(image=default_tag(), limits=BoxLimits(cpus=float(os.cpu_count() or 1)))


@asynccontextmanager
async def _host(pool_size: int) -> AsyncGenerator[DockerHost]:
    agent = agent_path(read_settings().cache)
    host = DockerHost(agent, pool_size=pool_size, label=f"bench-{os.getpid()}")
    try:
        yield host
    finally:
        for _, container in await host.boxes():
            place = BoxPlace(container_id=container, host=host.name, image_digest="", pool_key="")
            await host.remove(place)
        await host.close()


@asynccontextmanager
async def _box() -> AsyncGenerator[Target]:
    async with _host(0) as host:
        place = await host.create(_spec(), BoxId(fresh("box_")))
        yield await host.attach(place)
