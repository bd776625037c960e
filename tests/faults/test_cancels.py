"""Cancels at random moments: in the model's words, in a command, while a person is asked, before anything."""

import asyncio
import random
from collections import Counter
from pathlib import Path

import pytest

from protocol.ids import RunId
from records import boxes
from tests.invariants import assert_no_box_is_left_over, assert_standing_invariants
from tests.stack import Stack, docker, of_type
from tests.temporal_server import TemporalServer

pytestmark = [
    pytest.mark.temporal,
    pytest.mark.docker,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

CANCELS, AT_ONCE, SEED = 50, 10, 15
GONE_S = 5.0
KINDS = ("talk", "act", "sleep", "count")
TOOLS = [
    {"kind": "tool", "name": "count_non_idempotent_write", "approval": "ask"},
    {"kind": "tool", "name": "count_read_only"},
    {"kind": "tool", "name": "bash"},
]

SCRIPT = """
[[scenarios]]
when = "^talk"
[[scenarios.turns]]
text = "it was the best of times it was the worst of times it was the age of wisdom"
delta_chars = 2
delta_delay_ms = 60

[[scenarios]]
when = "^act"
[[scenarios.turns]]
tool_calls = [{ name = "count_non_idempotent_write" }]
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^sleep"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo on; setsid sleep 4321 & sleep 4322" } }]
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^count"
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }]
repeat = 200
[[scenarios.turns]]
text = "done"
"""


async def test_a_cancel_at_any_moment_ends_the_run_once_and_all_that_it_started(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    room = asyncio.Semaphore(AT_ONCE)
    ends: Counter[str] = Counter()

    async def one(stack: Stack, kind: str, delay: float) -> None:
        async with room:
            target = {"kind": "workspace", "name": "dev"} if kind == "sleep" else None
            run = await stack.create(kind, capabilities=TOOLS, target=target, limits={"max_tool_calls": 0})
            await asyncio.sleep(delay)
            await stack.cancel(run)
            told = await stack.ended(run)
            ends[told[-1]["type"]] += 1
            await _nothing_runs(stack, run)
            assert of_type(told, "run.cancelled") == told[-1:]
            assert await stack.events(run) == told

    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as stack:
        await stack.start_worker()
        moments = [(KINDS[number % len(KINDS)], chance.uniform(0, 1.5)) for number in range(CANCELS)]
        await asyncio.gather(*(one(stack, kind, delay) for kind, delay in moments))
        assert ends == {"run.cancelled": CANCELS}
        await assert_standing_invariants(stack, stack.runs)
        await assert_no_box_is_left_over(stack)


async def _nothing_runs(stack: Stack, run: RunId) -> None:
    """The command's processes are gone, those that left its session as well."""
    deadline = asyncio.get_running_loop().time() + GONE_S
    for box in await stack.read(lambda connection: boxes.of_run(connection, run)):
        while "sleep 432" in docker("top", box.place.container_id, "-o", "args"):
            assert asyncio.get_running_loop().time() < deadline, f"the command of {run} goes on"
            await asyncio.sleep(0.1)
