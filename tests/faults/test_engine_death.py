"""The Temporal server dies while runs are under way: nothing is lost, and all goes on when it is back."""

import asyncio
import random
from pathlib import Path

import pytest
from temporalio.service import RPCError

from protocol.ids import RunId
from tests.invariants import assert_standing_invariants
from tests.stack import Stack
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]

RUNS, KILLS, SEED = 100, 10, 4
TOOLS = [{"kind": "tool", "name": f"count_{effect}"} for effect in ("read_only", "idempotent_write")]

SCRIPT = """
[[scenarios]]
[[scenarios.turns]]
text = "Now."
tool_calls = [{ name = "count_read_only" }, { name = "count_idempotent_write" }]
first_delay_ms = 200
repeat = 3
[[scenarios.turns]]
text = "done"
"""


async def test_no_run_is_lost_when_the_engine_dies_again_and_again(cache: Path, tmp_path: Path) -> None:
    server = TemporalServer(tmp_path / "engine", cache)
    chance = random.Random(SEED)
    async with Stack(tmp_path / "data", server, cache, SCRIPT) as stack:
        await stack.start_worker()
        made: list[RunId] = []

        async def make() -> None:
            for _ in range(RUNS):
                run = await stack.intend("go", capabilities=TOOLS)
                made.append(run)
                try:
                    await stack.begin(run)
                except RPCError:
                    # A caller would be told 503; here the intent stands, and the sweeper begins it.
                    continue
                await asyncio.sleep(0.1)

        making = asyncio.create_task(make())
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.5, 2))
            server.kill()
            await asyncio.sleep(chance.uniform(0, 0.5))
            server.restart()
            await server.client()
        await making
        for run in made:
            assert (await stack.ended(run, within=120))[-1]["type"] == "run.completed"
        await assert_standing_invariants(stack, made)
    server.kill()
