"""Many runs while workers are killed at random: nothing is lost, no one-shot effect happens twice."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import pytest

from protocol.ids import RunId
from tests.faults.progress import events_told
from tests.invariants import assert_no_box_is_left_over, assert_standing_invariants
from tests.stack import Event, Stack, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]

SOAK = (pytest.mark.soak, pytest.mark.timeout(7200))
SEED = 18
PROGRESS_S = 15.0
"""From a kill to the next event of any run: the heartbeat's time-out and five seconds."""

EFFECTS = ("read_only", "idempotent_write", "non_idempotent_write", "workspace")
COUNTING = [{"kind": "tool", "name": f"count_{effect}"} for effect in EFFECTS]

SCRIPT = """
[[scenarios]]
when = "^count"
first_delay_ms = 150
[[scenarios.turns]]
text = "I begin."
tool_calls = [{ name = "count_read_only" }, { name = "count_idempotent_write" }]
[[scenarios.turns]]
text = "Once."
tool_calls = [{ name = "count_non_idempotent_write" }]
[[scenarios.turns]]
text = "Two more."
tool_calls = [{ name = "count_workspace" }, { name = "count_read_only" }]
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^work"
first_delay_ms = 100
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo a >> a.txt; sleep 0.5" } }]
repeat = 3
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "wc -l < a.txt" } }]
[[scenarios.turns]]
text = "{last_result}"
"""


async def carried(stack: Stack, run: RunId) -> list[Event]:
    """The run to its end, by somebody who looks at the world where an outcome is not known."""
    number = 0
    while True:
        told = await stack.until(run, partial(_next, number=number))
        if _over(told):
            return told
        number += 1
        checkpoint = await stack.checkpoint(run, number)
        happened = any(one.execution == checkpoint.tool_execution_id for one in stack.counting.executions())
        await stack.decide(checkpoint, "answer", answer={"resolution": "succeeded" if happened else "retry"})


def _next(told: list[Event], *, number: int) -> list[Event] | None:
    """The events, once there is another question or an end."""
    return told if _over(told) or len(of_type(told, "checkpoint.opened")) > number else None


def _over(told: list[Event]) -> bool:
    return told[-1]["type"] in ("run.completed", "run.failed", "run.cancelled", "run.timed_out")


async def under_fire(
    stack: Stack, runs: int, kills: int, at_once: int, go: Callable[[], Awaitable[list[Event]]]
) -> list[list[Event]]:
    """So many runs, so many at a time, and one of two workers killed again and again meanwhile."""
    chance = random.Random(SEED)
    late: list[float] = []
    room = asyncio.Semaphore(at_once)

    async def one() -> list[Event]:
        async with room:
            return await go()

    await asyncio.gather(stack.start_worker(), stack.start_worker())
    going = [asyncio.create_task(one()) for _ in range(runs)]
    for _ in range(kills):
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        chance.choice([worker for worker in stack.workers if not worker.ended]).kill()
        killed_at, before = time.monotonic(), await _event_count(stack)
        starting = asyncio.create_task(stack.start_worker())
        while await _event_count(stack) == before and not all(task.done() for task in going):
            assert time.monotonic() - killed_at < 4 * PROGRESS_S, "nothing goes on after a kill"
            await asyncio.sleep(0.05)
        late.append(time.monotonic() - killed_at)
        await starting
        if all(task.done() for task in going):
            going.append(asyncio.create_task(one()))
    assert sorted(late)[len(late) * 95 // 100] < PROGRESS_S, late
    return await asyncio.gather(*going)


async def _event_count(stack: Stack) -> int:
    return await events_told(stack, stack.runs)


@pytest.mark.parametrize(("runs", "kills"), [(50, 10), pytest.param(1_000, 200, marks=SOAK)])
async def test_all_runs_live_through_the_deaths_of_workers(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path, runs: int, kills: int
) -> None:
    """RCP-05 among the rest: the world, the ledger and the receipts count the same, both ways."""
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as stack:

        async def go() -> list[Event]:
            return await carried(stack, await stack.create("count", capabilities=COUNTING))

        for told in await under_fire(stack, runs, kills, 8, go):
            assert told[-1]["output_text"] == "done"
        await assert_standing_invariants(stack, stack.runs)


@pytest.mark.docker
@pytest.mark.parametrize(("runs", "kills"), [(20, 5), pytest.param(200, 30, marks=SOAK)])
async def test_no_box_is_left_over_after_runs_and_deaths_of_workers(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path, runs: int, kills: int
) -> None:
    pool = "[workspaces]\npool_size = 2\n"
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT, workspaces=pool) as stack:

        async def go() -> list[Event]:
            dev = {"kind": "workspace", "name": "dev"}
            return await stack.ended(await stack.create("work", target=dev), within=180)

        for told in await under_fire(stack, runs, kills, 4, go):
            assert told[-1]["output_text"] == "3\n"
        await assert_standing_invariants(stack, stack.runs)
        await assert_no_box_is_left_over(stack)
