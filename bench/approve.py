"""`approve`: from a person's decision to its answer, and to the start of the effect that it allows."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from statistics import median

import httpx2

from bench.bare import QUEUE, Steps
from bench.bare_gateway import Table
from bench.figures import Goal, Pair, Row
from bench.runs import COUNTING_CONFIG, PARKED_SCRIPT, moments, park
from bench.scale import Scale
from bench.servers import Stack, answers, free_port, fresh_stack
from protocol.checkpoint import Checkpoint
from protocol.ids import RunId, fresh
from records import checkpoints, events
from workflows.options import WORKFLOW_TASK_TIMEOUT

ANSWERED = Goal("<=", 4.0)
STARTED = Goal("<=", 1.5)
STILL = Goal("<=", 1.5)
HALF_A_MILLISECOND = 0.0005
"""What a time that was cut to milliseconds lacks on average."""


@dataclass
class Series:
    """Milliseconds, as the four things came in turn."""

    insert: list[float] = field(default_factory=list[float])
    request: list[float] = field(default_factory=list[float])
    answered: list[float] = field(default_factory=list[float])
    signalled: list[float] = field(default_factory=list[float])
    started: list[float] = field(default_factory=list[float])


async def measure(scale: Scale) -> list[Row]:
    count, parked = scale.of(60, 30), scale.of(1_000, 60)
    alone: list[Series] = []
    among: list[Series] = []
    for _ in range(scale.repeats):
        async with fresh_stack(config=COUNTING_CONFIG, script=PARKED_SCRIPT) as stack:
            await stack.worker()
            await stack.gateway()
            await stack.bare_worker()
            deciding = await Deciding.open(stack)
            await deciding.series(10)
            alone.append(await deciding.series(count))
            await park(stack, parked)
            among.append(await deciding.series(count))
    return [*_rows(alone), *_still(alone, among, parked)]


def _rows(told: list[Series]) -> list[Row]:
    return [
        Row(
            "decide → answered, over HTTP : one durable insert behind a bare HTTP server",
            "ms",
            tuple(Pair(median(one.request), median(one.answered)) for one in told),
            (ANSWERED,),
        ),
        Row(
            "decide → answered, over HTTP : one durable insert in the process itself",
            "ms",
            tuple(Pair(median(one.insert), median(one.answered)) for one in told),
            (ANSWERED,),
            "a bare HTTP server around the same insert needs more than that already: the row above",
        ),
        Row(
            "decide → effect started : bare signal → activity",
            "ms",
            tuple(Pair(median(one.signalled), median(one.started)) for one in told),
            (STARTED,),
            "the request and two durable commits (the decision, the claim that spends it) stand before the "
            "effect, and the story reads its inbox; the baseline commits nothing",
        ),
    ]


def _still(alone: list[Series], among: list[Series], parked: int) -> list[Row]:
    both = list(zip(alone, among, strict=True))
    return [
        Row(
            f"decide → answered with {parked:,} runs parked : without them",
            "ms",
            tuple(Pair(median(before.answered), median(after.answered)) for before, after in both),
            (STILL,),
        ),
        Row(
            f"decide → effect started with {parked:,} runs parked : without them",
            "ms",
            tuple(Pair(median(before.started), median(after.started)) for before, after in both),
            (STILL,),
        ),
    ]


class Deciding:
    """Runs that wait, decided one by one, each between the baselines' turns."""

    def __init__(self, stack: Stack, ours: httpx2.AsyncClient, bare: httpx2.AsyncClient) -> None:
        self._stack = stack
        self._ours = ours
        self._bare = bare
        self._table = Table(stack.place.home.root / "inserts.db")

    @classmethod
    async def open(cls, stack: Stack) -> "Deciding":
        port, root = free_port(), stack.place.home.root
        await stack.begin(stack.python("bare_gateway", "-m", "bench.bare_gateway", str(root), str(port)))
        await answers(port)
        key = stack.place.home.admin_key.read_text().strip()
        ours = httpx2.AsyncClient(
            base_url=stack.place.url, headers={"authorization": f"Bearer {key}"}, trust_env=False
        )
        bare = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False)
        return cls(stack, ours, bare)

    async def series(self, count: int) -> Series:
        told = Series()
        waiting = await park(self._stack, count)
        for run_id in waiting:
            told.insert.append(_timed(lambda: self._table.insert("x" * 300)))
            told.request.append(await _awaited(self._insert))
            told.signalled.append(await self._signal())
            await self._decide(run_id, told)
        return told

    async def _insert(self) -> None:
        answer = await self._bare.post("/insert", json={"decision": "approve", "envelope_digest": "x" * 71})
        answer.raise_for_status()

    async def _signal(self) -> float:
        handle = await self._stack.client.start_workflow(
            "bare_wait",
            Steps(activity="bare_nothing", count=1, queue=QUEUE),
            id=fresh("bare_"),
            task_queue=QUEUE,
            task_timeout=WORKFLOW_TASK_TIMEOUT,
            result_type=float,
        )
        await asyncio.sleep(0.05)
        began = time.time()
        await handle.signal("go")
        return 1000 * (await handle.result() - began)

    async def _decide(self, run_id: RunId, told: Series) -> None:
        checkpoint = await self._open_checkpoint(run_id)
        body = {"decision": "approve", "envelope_digest": checkpoint.envelope_digest}
        began, wall = time.monotonic(), time.time()
        answer = await self._ours.post(f"/v1/checkpoints/{checkpoint.id}:decide", json=body)
        told.answered.append(1000 * (time.monotonic() - began))
        answer.raise_for_status()
        await self._stack.client.get_workflow_handle(run_id).result()
        page = await self._stack.database.read(lambda c: events.page(c, run_id, 0, 256))
        (started,) = moments(page, "tool_execution.started")
        told.started.append(1000 * (started + HALF_A_MILLISECOND - wall))

    async def _open_checkpoint(self, run_id: RunId) -> Checkpoint:
        of_run = await self._stack.database.read(lambda c: checkpoints.of_run(c, run_id))
        return of_run[0]


def _timed(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return 1000 * (time.monotonic() - began)


async def _awaited(work: Callable[[], Awaitable[object]]) -> float:
    began = time.monotonic()
    await work()
    return 1000 * (time.monotonic() - began)
