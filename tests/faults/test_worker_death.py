"""Workers that die or stop in the middle of something: what goes on without them, and who tells it."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from protocol.ids import RunId
from tests.invariants import assert_standing_invariants
from tests.processes import until
from tests.stack import Event, Stack, docker, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.faults]

DEV = {"kind": "workspace", "name": "dev"}
ASKING = [{"kind": "tool", "name": "count_non_idempotent_write", "approval": "ask"}]

SCRIPT = """
[[scenarios]]
when = "^count until told"
[[scenarios.turns]]
text = "I count."
tool_calls = [{ name = "bash", arguments = { command = '''
i=0
until [ -e /tmp/enough ]; do i=$((i + 1)); echo "line $i" | tee -a ran.txt; sleep 0.1; done
''' } }]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "wc -l < ran.txt" } }]
[[scenarios.turns]]
text = "{last_result}"

[[scenarios]]
when = "^talk"
delta_chars = 4
[[scenarios.turns]]
text = "one two three four five six seven eight nine ten"
delta_delay_ms = 80
tool_calls = [{ name = "count_non_idempotent_write" }]
[[scenarios.turns]]
text = "{last_result}"

[[scenarios]]
when = "^ask twice"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo one > a.txt" } }]
[[scenarios.turns]]
tool_calls = [{ name = "write_file", arguments = { path = "b.txt", content = "two" } }]
[[scenarios.turns]]
tool_calls = [{ name = "write_file", arguments = { path = "c.txt", content = "three" } }]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "cat a.txt b.txt c.txt" } }]
[[scenarios.turns]]
text = "{last_result}"

[[scenarios]]
when = "^many steps"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo step >> steps.txt; sleep 0.3" } }]
repeat = 12
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "wc -l < steps.txt" } }]
[[scenarios.turns]]
text = "{last_result}"
"""


@pytest.fixture
async def stack(temporal_server: TemporalServer, cache: Path, tmp_path: Path) -> AsyncGenerator[Stack]:
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as made:
        await made.start_worker()
        yield made
        await assert_standing_invariants(made, made.runs)


async def counting(stack: Stack) -> RunId:
    """A run in the middle of a command that goes on until it is told that it is enough."""
    run = await stack.create("count until told", target=DEV)
    await stack.told(run, "tool_execution.output", 3)
    return run


async def enough(stack: Stack, run: RunId) -> list[Event]:
    """All events of the run: every line is told once, from one execution, whoever told it."""
    docker("exec", await stack.box(run), "touch", "/tmp/enough")
    told = await stack.ended(run)
    assert [event["attempt"] for event in of_type(told, "tool_execution.started")] == [1, 1]
    command = of_type(told, "tool_execution.started")[0]["tool_execution_id"]
    pieces = of_type(told, "tool_execution.output")
    output = "".join(piece["delta"] for piece in pieces if piece["tool_execution_id"] == command)
    count = int(told[-1]["output_text"])
    assert output == "".join(f"line {number}\n" for number in range(1, count + 1))
    return told


async def test_a_command_outlives_its_worker_and_the_next_one_tells_the_rest_of_it(stack: Stack) -> None:
    run = await counting(stack)
    stack.workers[0].kill()
    await stack.start_worker()
    await stack.told(run, "tool_execution.output", 6)
    await enough(stack, run)


async def test_a_command_that_ends_while_nobody_looks_is_told_by_the_next_worker(stack: Stack) -> None:
    run = await counting(stack)
    stack.workers[0].kill()
    container = await stack.box(run)
    docker("exec", container, "touch", "/tmp/enough")
    await until(lambda: "sleep 0.1" not in docker("top", container), 60, "the command does not end")
    await stack.start_worker()
    await enough(stack, run)


async def test_a_worker_that_is_told_to_stop_leaves_its_command_to_the_next_one(stack: Stack) -> None:
    run = await counting(stack)
    await stack.workers[0].stop()
    await stack.start_worker()
    await stack.told(run, "tool_execution.output", 6)
    await enough(stack, run)


async def test_three_workers_that_die_one_after_the_other_tell_one_story(stack: Stack) -> None:
    run = await counting(stack)
    for _ in range(3):
        stack.workers[-1].kill()
        before = len(of_type(await stack.events(run), "tool_execution.output"))
        await stack.start_worker()
        await stack.told(run, "tool_execution.output", before + 3)
    await enough(stack, run)


async def test_a_model_that_was_heard_half_is_asked_anew_and_its_first_words_are_voided(stack: Stack) -> None:
    run = await stack.create("talk", capabilities=[ASKING[0] | {"approval": "auto"}])
    await stack.told(run, "response.delta", 3)
    stack.workers[0].kill()
    await stack.start_worker()
    told = await stack.ended(run)
    assert [event["attempt"] for event in of_type(told, "call.attempt_voided")] == [1]
    assert told[-1]["output_text"] == "counted 1"


async def test_a_turn_that_was_committed_and_not_reported_is_not_asked_for_again(stack: Stack) -> None:
    stack.arm("before_completion", "call_model")
    run = await stack.create("talk", capabilities=[ASKING[0] | {"approval": "auto"}])
    await until(lambda: stack.workers[0].ended, 60, "the point was not reached")
    await stack.start_worker()
    told = await stack.ended(run)
    assert len(of_type(told, "call.started")) == 2
    assert of_type(told, "call.attempt_voided") == []
    assert told[-1]["output_text"] == "counted 1"


async def test_a_question_about_an_unknown_outcome_survives_the_worker_that_asked_it(stack: Stack) -> None:
    """Agreed to, begun, the worker dies; the next one asks what became of it, and dies at once."""
    stack.arm("after_effect", "count_non_idempotent_write")
    run = await stack.create("talk", capabilities=ASKING)
    await stack.decide(await stack.checkpoint(run), "approve")
    await until(lambda: stack.workers[0].ended, 60, "the effect was not reached")
    stack.arm("during_approval", "outcome_unknown")
    second = await stack.start_worker()
    await until(lambda: second.ended, 60, "the question was not reached")
    await stack.start_worker()
    checkpoint = await stack.checkpoint(run, 2)
    assert checkpoint.kind == "outcome_unknown"
    await stack.waits_for(checkpoint)
    await stack.decide(checkpoint, "answer", answer={"resolution": "succeeded"})
    told = await stack.ended(run)
    assert len(of_type(told, "checkpoint.opened")) == 2
    assert len(stack.counted(told)) == 1


@pytest.mark.parametrize(("resolution", "happened"), [("failed", 1), ("retry", 2)])
async def test_an_unknown_outcome_is_what_the_person_who_looked_says(
    stack: Stack, resolution: str, happened: int
) -> None:
    stack.arm("after_effect", "count_non_idempotent_write")
    run = await stack.create("talk", capabilities=ASKING)
    await stack.decide(await stack.checkpoint(run), "approve")
    await until(lambda: stack.workers[0].ended, 60, "the effect was not reached")
    await stack.start_worker()
    await stack.decide(await stack.checkpoint(run, 2), "answer", answer={"resolution": resolution})
    told = await stack.ended(run)
    assert len(stack.counted(told)) == happened
    (completed,) = of_type(told, "tool_execution.completed")
    assert completed["is_error"] is (resolution == "failed")


async def test_a_box_that_is_lost_is_lost_once_for_all_workers_beside_it(stack: Stack) -> None:
    await stack.start_worker()
    run = await stack.create("many steps", target=DEV)
    for number in (4, 8):
        await stack.told(run, "tool_execution.started", number)
        docker("kill", await stack.box(run))
        await stack.told(run, "target.materialized", number // 4 + 1)
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "12\n"
    assert [event["generation"] for event in of_type(told, "target.lost")] == [1, 2]


async def test_a_worker_that_slept_through_the_loss_of_a_box_takes_up_the_new_one(stack: Stack) -> None:
    asking = [{"kind": "tool", "name": "bash"}, {"kind": "tool", "name": "write_file", "approval": "ask"}]
    run = await stack.create("ask twice", target=DEV, capabilities=asking)
    first = await stack.checkpoint(run)
    await stack.waits_for(first)
    sleeper = stack.workers[0]
    sleeper.freeze()
    other = await stack.start_worker()
    docker("kill", await stack.box(run))
    await stack.decide(first, "approve")
    second = await stack.checkpoint(run, 2)
    await stack.waits_for(second)
    sleeper.thaw()
    other.kill()
    await stack.decide(second, "approve")
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "one\ntwothree"
    assert [event["generation"] for event in of_type(told, "target.materialized")] == [1, 2]
