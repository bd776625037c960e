"""Runs whose history grows long: they go on in a fresh one, with all that they wait for."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from protocol.ids import RunId
from tests.invariants import assert_standing_invariants
from tests.stack import Stack, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

LONG = 60
"""Events of a history at which this server suggests a fresh one."""
TURNS = 30
ASKING = [
    {"kind": "tool", "name": "count_read_only"},
    {"kind": "tool", "name": "count_non_idempotent_write", "approval": "ask"},
]

SCRIPT = f"""
[[scenarios]]
when = "^count"
[[scenarios.turns]]
tool_calls = [{{ name = "count_read_only" }}]
repeat = {TURNS}
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^ask"
[[scenarios.turns]]
tool_calls = [
  {{ name = "count_non_idempotent_write", arguments = {{ note = "one" }} }},
  {{ name = "count_non_idempotent_write", arguments = {{ note = "two" }} }},
]
[[scenarios.turns]]
text = "I heard {{input}}"
"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Stack]:
    folder = tmp_path_factory.mktemp("long")
    suggests = ("--dynamic-config-value", f"limit.historyCount.suggestContinueAsNew={LONG}")
    server = TemporalServer(folder / "engine", cache, *suggests)
    async with Stack(folder / "data", server, cache, SCRIPT) as made:
        await made.start_worker()
        yield made
        await assert_standing_invariants(made, made.runs)
    server.kill()


async def history_of(stack: Stack, run: RunId) -> str:
    """Which history the run is at; each fresh one has an id of its own."""
    return (await stack.handle(run).describe()).run_id


async def test_a_run_of_many_turns_goes_on_in_fresh_histories_and_does_everything_once(stack: Stack) -> None:
    run = await stack.create("count", capabilities=ASKING)
    first = await history_of(stack, run)
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "done"
    assert [event["step"] for event in of_type(told, "step.completed")] == list(range(1, TURNS + 2))
    assert len(stack.counted(told)) == TURNS
    assert await history_of(stack, run) != first
    assert len((await stack.handle(run).fetch_history()).events) < 2 * LONG


async def test_open_checkpoints_outlive_the_history_in_which_they_were_opened(stack: Stack) -> None:
    run = await stack.create("ask", capabilities=ASKING)
    one, two = await stack.checkpoint(run, 1), await stack.checkpoint(run, 2)
    await stack.waits_for(two)
    first = await history_of(stack, run)
    for number in range(2 * LONG // 4):
        await stack.send(run, f"word {number}")
        if await history_of(stack, run) != first:
            break
    assert await history_of(stack, run) != first
    await stack.decide(one, "approve")
    await stack.decide(two, "deny", reason="no")
    told = await stack.ended(run)
    assert told[-1]["output_text"] == f"I heard word {number}"
    assert len(of_type(told, "checkpoint.opened")) == 2
    assert [counted.execution for counted in stack.counted(told)] == [one.tool_execution_id]
    assert len(of_type(told, "input.received")) == number + 1
    waited = [event["checkpoint_ids"] for event in of_type(told, "run.waiting")]
    assert sum(set(ids) == {one.id, two.id} for ids in waited) == 1, (
        "that it waits is told once, whatever the history"
    )
