"""`park`: what a thousand waiting runs cost, and how long it takes to cancel them all."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import httpx2
from temporalio.client import WorkflowHandle

from bench.bare import QUEUE, Steps
from bench.figures import Goal, Pair, Row
from bench.processes import cpu_seconds, memory_kb
from bench.runs import COUNTING_CONFIG, PARKED_SCRIPT, park
from bench.scale import Scale
from bench.servers import Stack, fresh_stack
from protocol.ids import RunId, fresh
from workflows.options import WORKFLOW_TASK_TIMEOUT

AT_ONCE = 16
WARM = 20
SETTLES_S = 5.0


@dataclass(frozen=True)
class Parked:
    """One side: the engine's memory a run, the share of a core that all its processes use, and the end."""

    memory_kb: float
    idle_percent: float
    cancelled_s: float


async def measure(scale: Scale) -> list[Row]:
    count, idle_s = scale.of(1_000, 60), scale.of(15, 5)
    memory: list[Pair] = []
    idle: list[Pair] = []
    cancelled: list[Pair] = []
    for _ in range(scale.repeats):
        bare, ours = await _bare(count, idle_s), await _ours(count, idle_s)
        memory.append(Pair(bare.memory_kb, ours.memory_kb))
        idle.append(Pair(bare.idle_percent, ours.idle_percent))
        cancelled.append(Pair(bare.cancelled_s, ours.cancelled_s))
    runs = f"{count:,} waiting runs"
    return [
        Row(
            f"{runs}: the engine's memory a run : a bare workflow that waits",
            "kB",
            tuple(memory),
            LIMIT,
            "a run that waits has a model's turn and a prepared call behind it, the bare workflow nothing: "
            "the engine keeps the longer history in memory",
        ),
        Row(
            f"{runs}: a core's share while nothing happens : the same with bare workflows",
            "%",
            tuple(idle),
            (Goal("<=", 6.0, of="ours"),),
        ),
        Row(
            f"{runs}: all cancelled : bare workflows with one activity each",
            "s",
            tuple(cancelled),
            LIMIT,
            "a cancel is a committed request over HTTP and the words of it are read by the story; the end "
            "closes checkpoint, receipt and log in one more commit. Both sides use all cores meanwhile",
        ),
    ]


LIMIT = (Goal("<=", 1.2),)


async def _ours(count: int, idle_s: float) -> Parked:
    async with fresh_stack(config=COUNTING_CONFIG, script=PARKED_SCRIPT) as stack:
        await stack.worker()
        await stack.gateway()
        key = stack.place.home.admin_key.read_text().strip()
        headers = {"authorization": f"Bearer {key}"}
        async with httpx2.AsyncClient(
            base_url=stack.place.url, headers=headers, trust_env=False, timeout=30
        ) as http:

            async def cancel(run_id: str) -> None:
                (await http.post(f"/v1/runs/{run_id}:cancel", json={})).raise_for_status()

            async def begin(number: int) -> Sequence[RunId]:
                return await park(stack, number, at_once=AT_ONCE)

            return await _parked(stack, count, idle_s, begin, cancel)


async def _bare(count: int, idle_s: float) -> Parked:
    async with fresh_stack(config=COUNTING_CONFIG, script=PARKED_SCRIPT) as stack:
        await stack.bare_worker()
        order = Steps(activity="bare_nothing", count=1, queue=QUEUE)

        async def begin(number: int) -> list[str]:
            names = [fresh("bare_") for _ in range(number)]
            await _all(
                names,
                lambda name: stack.client.start_workflow(
                    "bare_wait", order, id=name, task_queue=QUEUE, task_timeout=WORKFLOW_TASK_TIMEOUT
                ),
            )
            return names

        async def cancel(name: str) -> None:
            await stack.client.get_workflow_handle(name).cancel()

        return await _parked(stack, count, idle_s, begin, cancel)


async def _parked(
    stack: Stack,
    count: int,
    idle_s: float,
    begin: Callable[[int], Awaitable[Sequence[str]]],
    cancel: Callable[[str], Awaitable[None]],
) -> Parked:
    engine = stack.children["temporal"].pid
    warm = await begin(WARM)
    await asyncio.sleep(SETTLES_S)
    before = memory_kb(engine)
    names = await begin(count)
    await asyncio.sleep(SETTLES_S)
    memory = (memory_kb(engine) - before) / count
    idle = await _idle_percent(stack, idle_s)
    began = time.monotonic()
    await _all(names, cancel)
    await asyncio.gather(*(_over(stack.client.get_workflow_handle(name)) for name in names))
    took = time.monotonic() - began
    await _all(warm, cancel)
    return Parked(memory_kb=memory, idle_percent=idle, cancelled_s=took)


async def _idle_percent(stack: Stack, seconds: float) -> float:
    pids = [child.pid for child in stack.children.values()]
    before = sum(map(cpu_seconds, pids))
    await asyncio.sleep(seconds)
    return 100 * (sum(map(cpu_seconds, pids)) - before) / seconds


async def _over(handle: "WorkflowHandle[object, object]") -> None:
    await handle.result()


async def _all(names: Sequence[str], work: Callable[[str], Awaitable[object]]) -> None:
    room = asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with room:
            await work(name)

    await asyncio.gather(*(one(name) for name in names))
