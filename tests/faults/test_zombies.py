"""Workers that were given up and come back: what they say then is refused, and what they ran goes on."""

import asyncio
import fcntl
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.invariants import assert_standing_invariants
from tests.processes import until
from tests.stack import Stack, docker, of_type
from tests.temporal_server import TemporalServer
from workflows.options import TOOL

pytestmark = [
    pytest.mark.temporal,
    pytest.mark.docker,
    pytest.mark.faults,
    pytest.mark.slow,
    pytest.mark.timeout(900),
]

TALKING, COUNTING, ACTING = 10, 6, 8
EFFECTS = ("read_only", "idempotent_write", "non_idempotent_write", "workspace")
GIVEN_UP_AFTER = TOOL.get("heartbeat_timeout")
SCRIPT = """
[[scenarios]]
when = "^talk"
delta_chars = 5
[[scenarios.turns]]
text = "it was the best of times it was the worst of times it was the age of wisdom"
delta_delay_ms = 400

[[scenarios]]
when = "^count until told"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = '''
i=0
until [ -e /tmp/enough ]; do i=$((i + 1)); echo "line $i" | tee -a ran.txt; sleep 0.5; done
''' } }]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "wc -l < ran.txt" } }]
[[scenarios.turns]]
text = "{last_result}"
""" + "".join(
    f"""
[[scenarios]]
when = "^{effect}$"
[[scenarios.turns]]
tool_calls = [{{ name = "count_{effect}" }}]
[[scenarios.turns]]
text = "done"
"""
    for effect in EFFECTS
)


@contextmanager
def slow_world(stack: Stack) -> Generator[None]:
    """While inside, nobody who acts in the counting world comes to an end."""
    with (stack.data / "counts").open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


async def test_activities_of_frozen_workers_are_taken_over_and_their_late_words_refused(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    assert GIVEN_UP_AFTER is not None
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as stack:
        zombies = [await stack.start_worker(), await stack.start_worker()]
        dev = {"kind": "workspace", "name": "dev"}
        counting = [await stack.create("count until told", target=dev) for _ in range(COUNTING)]
        for run in counting:
            await stack.told(run, "tool_execution.output", 2)
        with slow_world(stack):
            tools = [{"kind": "tool", "name": f"count_{effect}"} for effect in EFFECTS]
            acting = [await stack.create(EFFECTS[n % 4], capabilities=tools) for n in range(ACTING)]
            for run in acting:
                await stack.told(run, "tool_execution.started")
            talking = [await stack.create("talk") for _ in range(TALKING)]
            for run in talking:
                await stack.told(run, "response.delta")
            for zombie in zombies:
                zombie.freeze()
            await stack.start_worker()
            await asyncio.sleep(3 * GIVEN_UP_AFTER.total_seconds())  # the thing itself: given up, thrice over
            before = [len(of_type(await stack.events(run), "tool_execution.output")) for run in counting]
            asked = [await stack.checkpoint(run) for run in acting[2::4]]
            for zombie in zombies:
                zombie.thaw()
        for checkpoint in asked:
            assert checkpoint.kind == "outcome_unknown"
            await until(
                lambda one=checkpoint: _happened(stack, one.tool_execution_id), 30, "it never happened"
            )
            await stack.decide(checkpoint, "answer", answer={"resolution": "succeeded"})
        for run in acting:
            told = await stack.ended(run)
            assert told[-1]["type"] == "run.completed"
            assert [row.epoch for row in await stack.ledger(run)] == [2]
            assert len(of_type(told, "tool_execution.completed")) == 1
        happened = Counter(one.effect for one in stack.counting.executions())
        assert happened["idempotent_write"] == happened["non_idempotent_write"] == ACTING // 4
        for run, number in zip(counting, before, strict=True):
            await stack.told(run, "tool_execution.output", number + 3)
            docker("exec", await stack.box(run), "touch", "/tmp/enough")
        for run in talking:
            told = await stack.ended(run)
            assert [event["attempt"] for event in of_type(told, "call.attempt_voided")] == [1]
        for run in counting:
            told = await stack.ended(run)
            assert [event["attempt"] for event in of_type(told, "tool_execution.started")] == [1, 1]
            output = "".join(event["delta"] for event in of_type(told, "tool_execution.output"))
            count = int(told[-1]["output_text"])
            assert output == "".join(f"line {n}\n" for n in range(1, count + 1)) + f"{count}\n"
        await assert_standing_invariants(stack, stack.runs)


def _happened(stack: Stack, execution: str | None) -> bool:
    return any(one.execution == execution for one in stack.counting.executions())
