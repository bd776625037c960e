"""The Temporal server dies while runs are begun and under way: nothing is lost, and all goes on after."""

import asyncio
import random
import time
from collections import Counter
from pathlib import Path

import pytest

from protocol.ids import RunId
from tests.faults.progress import events_told
from tests.flow.gateway.gateway_process import GatewayProcess
from tests.flow.gateway.house import plain_client
from tests.invariants import assert_standing_invariants
from tests.stack import Stack
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]

RUNS, KILLS, SEED = 100, 10, 4
GOES_ON_S = 30.0
TOOLS = [{"kind": "tool", "name": f"count_{effect}"} for effect in ("read_only", "idempotent_write")]

SCRIPT = """
[[scenarios]]
first_delay_ms = 500
[[scenarios.turns]]
text = "Now."
tool_calls = [{ name = "count_read_only" }, { name = "count_idempotent_write" }]
repeat = 3
[[scenarios.turns]]
text = "done"
"""


async def test_no_run_is_lost_when_the_engine_dies_again_and_again(cache: Path, tmp_path: Path) -> None:
    server = TemporalServer(tmp_path / "engine", cache)
    chance = random.Random(SEED)
    async with Stack(tmp_path / "data", server, cache, SCRIPT) as stack:
        await stack.start_worker()
        engine = {"RHONE_TEMPORAL_ADDRESS": server.address, "RHONE_TEMPORAL_NAMESPACE": stack.namespace}
        gateway = GatewayProcess(tmp_path / "data", **engine)
        await gateway.listens()
        answers: Counter[int] = Counter()
        over = asyncio.Event()

        async def make(number: int) -> None:
            """Asked for under one key until it is acknowledged."""
            body = {"input": "go", "model": "m", "capabilities": TOOLS}
            async with plain_client(gateway.address) as client:
                while True:
                    key = {"Idempotency-Key": f"start-{number}"}
                    answer = await client.post("/v1/runs", json=body, headers=key)
                    answers[answer.status_code] += 1
                    if answer.status_code == 201:
                        stack.runs.append(RunId(answer.json()["id"]))
                        return
                    error = answer.json()["error"]
                    assert (answer.status_code, error["code"]) == (503, "engine.unavailable")
                    await asyncio.sleep(0.3)

        async def make_all() -> None:
            """So many at least, and on until the last kill, so that each kill finds runs under way."""
            making: list[asyncio.Task[None]] = []
            while len(making) < RUNS or not over.is_set():
                making.append(asyncio.create_task(make(len(making))))
                await asyncio.sleep(0.3)
            await asyncio.gather(*making)

        making = asyncio.create_task(make_all())
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0.5, 2))
            server.kill()
            await asyncio.sleep(chance.uniform(0, 1))
            server.restart()
            await server.client()
            await _goes_on(stack)
        over.set()
        await making
        assert len(set(stack.runs)) == len(stack.runs) >= RUNS
        assert set(answers) == {201, 503}, answers
        for run in stack.runs:
            assert (await stack.ended(run, within=GOES_ON_S))[-1]["type"] == "run.completed"
        gateway.process.kill()
        await assert_standing_invariants(stack, stack.runs)
    server.kill()


async def _goes_on(stack: Stack) -> None:
    """After the server came back the worker tells something new, of a run under way or of one that was begun
    since: those under way may have told their last before anybody looked."""
    back, before = time.monotonic(), await _told_by_worker(stack)
    while await _told_by_worker(stack) <= before:
        assert time.monotonic() - back < GOES_ON_S, stack.logs()
        await asyncio.sleep(0.05)


async def _told_by_worker(stack: Stack) -> int:
    """All events but the first of each run, which is the gateway's."""
    runs = list(stack.runs)
    return await events_told(stack, runs) - len(runs)
