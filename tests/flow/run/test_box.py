"""Runs with a workspace: commands and files, and what becomes of a run whose command or box is taken away."""

import pytest

from protocol.ids import RunId
from records import boxes, steps
from tests.invariants import assert_no_box_is_left_over
from tests.processes import until
from tests.stack import Event, Stack, docker, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

DEV = {"kind": "workspace", "name": "dev"}
ASKING = [{"kind": "tool", "name": "bash", "approval": "ask"}]

SCRIPT = r"""
[[scenarios]]
when = "^look around"
[[scenarios.turns]]
tool_calls = [
  { name = "bash", arguments = { command = "echo hi; echo oh >&2; echo foo > a.txt; exit 3" } },
]
[[scenarios.turns]]
tool_calls = [
  { name = "read_file", arguments = { path = "a.txt" } },
  { name = "write_file", arguments = { path = "b/c.txt", content = "one\ntwo\n" } },
]
[[scenarios.turns]]
tool_calls = [
  { name = "edit_file", arguments = { path = "b/c.txt", old_text = "two", new_text = "three" } },
]
[[scenarios.turns]]
tool_calls = [
  { name = "grep", arguments = { pattern = "three" } },
  { name = "glob", arguments = { pattern = "**/*.txt" } },
  { name = "read_file", arguments = { path = "../../etc/shadow" } },
  { name = "read_file", arguments = { path = "missing.txt" } },
]
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^sleep"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = '''
echo begun
setsid sleep 1234 &
(sleep 1235; echo never) &
sleep 1236
''' } }]
[[scenarios.turns]]
text = "I go on. {last_result}"

[[scenarios]]
when = "^two steps"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo kept > kept.txt; echo -n saved" } }]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = '''
echo once >> count.txt
cat kept.txt
[ -e /tmp/go ] || sleep 3
cat count.txt
''' } }]
[[scenarios.turns]]
text = "{last_result}"

[[scenarios]]
when = "^think between"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo kept > kept.txt" } }]
[[scenarios.turns]]
first_delay_ms = 1500
tool_calls = [{ name = "read_file", arguments = { path = "kept.txt" } }]
[[scenarios.turns]]
text = "{last_result}"

[[scenarios]]
when = "^slow"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo -n before; sleep 60", timeout_ms = 700 } }]
[[scenarios.turns]]
text = "{last_result}"

[[scenarios]]
when = "^fill"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "head -c 500M /dev/zero > big; ls -s big | wc -l" } }]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "rm big; echo room again > a.txt; cat a.txt" } }]
[[scenarios.turns]]
text = "{last_result}"
"""


def results(told: list[Event]) -> list[str]:
    return [event["preview"] for event in of_type(told, "tool_execution.completed")]


async def test_commands_and_files_do_what_their_results_say(stack: Stack) -> None:
    run = await stack.create("look around", target=DEV)
    told = await stack.ended(run)
    assert of_type(told, "target.materialized")[0]["generation"] == 1
    assert of_type(told, "tool_execution.completed")[0]["exit_code"] == 3
    said = results(told)
    assert said[0] == "hi\n\n[stderr]\noh\n\n[exit code 3]"
    assert "     1\tfoo" in said
    assert any(one.startswith("wrote 8 bytes") for one in said)
    assert "b/c.txt:2: three" in said
    assert "a.txt\nb/c.txt" in said
    assert len([one for one in said if one.startswith("target.")]) == 2
    output = [(event["stream"], event["delta"]) for event in of_type(told, "tool_execution.output")]
    assert sorted(output) == [("stderr", "oh\n"), ("stdout", "hi\n")]
    kept = await stack.read(lambda connection: steps.list_steps(connection, run))
    assert [step.tree_checkpoint is not None for step in kept] == [True, True, True, False, False]


async def test_a_command_that_passes_its_time_limit_is_killed_and_says_so(stack: Stack) -> None:
    told = await stack.ended(await stack.create("slow", target=DEV))
    assert told[-1]["output_text"] == "before\n[killed: the time limit of 700 ms passed]"


def sleepers(container: str) -> list[str]:
    """The sleeping processes that the engine still sees in a box."""
    return [line for line in docker("top", container, "-o", "pid,args").splitlines() if "sleep 123" in line]


async def sleeping(stack: Stack) -> tuple[RunId, str]:
    """A run in the middle of a command with descendants that left its session."""
    run = await stack.create("sleep", target=DEV)
    await stack.told(run, "tool_execution.output")
    container = await stack.box(run)
    assert len(sleepers(container)) >= 3
    return run, container


async def test_a_cancel_ends_all_that_descends_from_a_command(stack: Stack) -> None:
    run, container = await sleeping(stack)
    await stack.cancel(run)
    told = await stack.ended(run)
    assert told[-1]["type"] == "run.cancelled"
    assert of_type(told, "tool_execution.completed")[0]["outcome"] == "interrupted"
    assert sleepers(container) == []
    await assert_no_box_is_left_over(stack)


async def test_an_interrupt_ends_the_command_and_the_run_goes_on_in_its_box(stack: Stack) -> None:
    run, container = await sleeping(stack)
    await stack.interrupt(run, "discard", "leave it")
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "I go on. The call was interrupted by the user."
    assert sleepers(container) == []
    assert len(of_type(told, "target.materialized")) == 1


async def test_a_run_that_times_out_in_a_command_ends_with_it(stack: Stack) -> None:
    run = await stack.create("sleep", target=DEV, limits={"timeout_ms": 2_500})
    await stack.told(run, "tool_execution.output")
    container = await stack.box(run)
    told = await stack.ended(run)
    assert told[-1]["type"] == "run.timed_out"
    assert sleepers(container) == []


async def test_a_box_that_dies_in_the_middle_of_a_command_is_rebuilt_and_the_command_runs_anew(
    stack: Stack,
) -> None:
    run = await stack.create("two steps", target=DEV)
    await stack.told(run, "tool_execution.output", 2)
    docker("kill", await stack.box(run))
    told = await stack.ended(run)
    assert [event["generation"] for event in of_type(told, "target.materialized")] == [1, 2]
    assert [event["generation"] for event in of_type(told, "target.lost")] == [1]
    second = of_type(told, "tool_execution.requested")[1]["tool_execution_id"]
    started = of_type(told, "tool_execution.started")
    assert [event["attempt"] for event in started if event["tool_execution_id"] == second] == [1, 2]
    assert told[-1]["output_text"] == "kept\nonce\n"
    assert (await stack.read(lambda connection: boxes.of_run(connection, run)))[0].state == "gone"


async def test_a_box_that_dies_between_two_steps_is_rebuilt_from_the_saved_tree(stack: Stack) -> None:
    run = await stack.create("think between", target=DEV)
    await stack.told(run, "call.started", 2)
    docker("kill", await stack.box(run))
    told = await stack.ended(run)
    assert len(of_type(told, "target.lost")) == 1
    assert told[-1]["output_text"] == "     1\tkept"


async def test_what_a_person_agreed_to_runs_anew_in_a_rebuilt_box_without_asking_again(stack: Stack) -> None:
    run = await stack.create("two steps", target=DEV, capabilities=ASKING)
    await stack.decide(await stack.checkpoint(run, 1), "approve")
    await stack.decide(await stack.checkpoint(run, 2), "approve")
    await stack.told(run, "tool_execution.output", 2)
    docker("kill", await stack.box(run))
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "kept\nonce\n"
    assert len(of_type(told, "checkpoint.opened")) == 2


async def test_a_lost_box_of_a_run_that_is_cancelled_leaves_one_result_for_each_call(stack: Stack) -> None:
    run = await stack.create("two steps", target=DEV)
    await stack.told(run, "tool_execution.output", 2)
    docker("kill", await stack.box(run))
    await stack.told(run, "target.lost")
    await stack.cancel(run)
    await stack.ended(run)


async def test_a_full_disk_in_the_box_is_told_and_the_run_goes_on(stack: Stack) -> None:
    run = await stack.create("fill", target=DEV)
    told = await stack.ended(run)
    assert "No space left on device" in results(told)[0]
    assert told[-1]["output_text"] == "room again\n"


async def test_no_box_is_left_over_when_all_runs_have_ended(stack: Stack) -> None:
    await assert_no_box_is_left_over(stack)
    assert await until(lambda: not stack.containers(), 60, "a container is left")
