"""Workers that were given up and come back: what they say then is refused, and what they ran goes on."""

import asyncio
from pathlib import Path

import pytest

from tests.invariants import assert_standing_invariants
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

TALKING, COUNTING = 14, 6
GIVEN_UP_AFTER = TOOL.get("heartbeat_timeout")
LIMITS = "limits = { memory_mb = 256, disk_mb = 64 }"

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
"""


async def test_twenty_activities_of_frozen_workers_are_taken_over_and_their_late_words_refused(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    assert GIVEN_UP_AFTER is not None
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as stack:
        zombies = [await stack.start_worker(), await stack.start_worker()]
        dev = {"kind": "workspace", "name": "dev"}
        counting = [await stack.create("count until told", target=dev) for _ in range(COUNTING)]
        for run in counting:
            await stack.told(run, "tool_execution.output", 2)
        talking = [await stack.create("talk") for _ in range(TALKING)]
        for run in talking:
            await stack.told(run, "response.delta")
        for zombie in zombies:
            zombie.freeze()
        await stack.start_worker()
        await asyncio.sleep(3 * GIVEN_UP_AFTER.total_seconds())  # the thing itself: given up, thrice over
        before = [len(of_type(await stack.events(run), "tool_execution.output")) for run in counting]
        for zombie in zombies:
            zombie.thaw()
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
