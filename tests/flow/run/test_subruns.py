"""Subruns: a run spawns others with less than it has, waits for what they wait for, stops them with it."""

from typing import Any

import pytest

from capabilities.inheritance import DEPTH, NOT_HELD
from cli.reconcile import records as reconcile
from protocol.budget import Amount
from protocol.capability import CapabilitySnapshot
from protocol.checkpoint import Checkpoint
from protocol.ids import RunId
from protocol.run import Run
from records import checkpoints, snapshots, spending, subruns, taints
from records.paging import PageRequest
from tests.processes import until
from tests.stack import Event, Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

TABLES = {
    "paid": """
[providers.paid]
protocol = "scripted"
models = ["p"]
script = "script.toml"
maxOutputTokens = 100
""",
    "subruns": "[subruns]\nfan_out = 4\n",
    "labels": '[labels]\ncount_workspace = ["untrusted"]\n',
}

SCRIPT = """
[[scenarios]]
when = "^deep"
[[scenarios.turns]]
[[scenarios.turns.tool_calls]]
name = "spawn"
[scenarios.turns.tool_calls.arguments]
task = "level one"
capabilities = [{ kind = "tool", name = "spawn" }, { kind = "tool", name = "count_idempotent_write" }]
[[scenarios.turns]]
text = "Zero: {last_result}"

[[scenarios]]
when = "^level one"
[[scenarios.turns]]
[[scenarios.turns.tool_calls]]
name = "spawn"
[scenarios.turns.tool_calls.arguments]
task = "level two"
capabilities = [{ kind = "tool", name = "spawn" }, { kind = "tool", name = "count_idempotent_write" }]
[[scenarios.turns]]
text = "One: {last_result}"

[[scenarios]]
when = "^level two"
[[scenarios.turns]]
[[scenarios.turns.tool_calls]]
name = "spawn"
[scenarios.turns.tool_calls.arguments]
task = "level three"
capabilities = [
  { kind = "tool", name = "spawn" },
  { kind = "tool", name = "count_idempotent_write", approval = "auto" },
  { kind = "tool", name = "count_read_only" },
]
[[scenarios.turns]]
text = "Two: {last_result}"

[[scenarios]]
when = "^level three"
turns = [{ tool_calls = [{ name = "count_idempotent_write" }] }, { text = "Three." }]

[[scenarios]]
when = "^one"
[[scenarios.turns]]
tool_calls = [{ name = "spawn", arguments = { task = "say it" } }]
[[scenarios.turns]]
text = "It said: {last_result}"

[[scenarios]]
when = "^say it"
turns = [{ text = "Said." }]

[[scenarios]]
when = "^many"
[[scenarios.turns]]
tool_calls = [
  { name = "spawn", arguments = { task = "busy", capabilities = [{ kind = "tool", name = "spawn" }] } },
  { name = "spawn", arguments = { task = "slow" } },
  { name = "spawn", arguments = { task = "slow" } },
  { name = "spawn", arguments = { task = "slow" } },
  { name = "spawn", arguments = { task = "slow" } },
]
[[scenarios.turns]]
text = "I go on."

[[scenarios]]
when = "^busy"
[[scenarios.turns]]
tool_calls = [{ name = "spawn", arguments = { task = "slow" } }]

[[scenarios]]
when = "^slow"
delta_chars = 1
delta_delay_ms = 500
turns = [{ text = "words that take so long that nobody ever hears the last of them, whatever happens" }]

[[scenarios]]
when = "^share"
[[scenarios.turns]]
usage = { input = 10, output = 40 }
[[scenarios.turns.tool_calls]]
name = "spawn"
arguments = { task = "forever a", capabilities = [{ kind = "tool", name = "count_read_only" }] }
[[scenarios.turns.tool_calls]]
name = "spawn"
arguments = { task = "forever b", capabilities = [{ kind = "tool", name = "count_read_only" }] }
[[scenarios.turns.tool_calls]]
name = "spawn"
arguments = { task = "forever c", limits = { max_tokens = 300 } }
[[scenarios.turns]]
text = "Never said."

[[scenarios]]
when = "^forever"
loop = true
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }]
usage = { input = 10, output = 90 }

[[scenarios]]
when = "^pays"
[[scenarios.turns]]
usage = { input = 10, output = 40 }
[[scenarios.turns.tool_calls]]
name = "spawn"
arguments = { task = "forever paid", capabilities = [{ kind = "tool", name = "count_read_only" }] }
[[scenarios.turns]]
text = "Never said."

[[scenarios]]
when = "^taint"
[[scenarios.turns]]
[[scenarios.turns.tool_calls]]
name = "spawn"
arguments = { task = "read", capabilities = [{ kind = "tool", name = "count_workspace" }] }
[[scenarios.turns]]
tool_calls = [{ name = "spawn", arguments = { task = "say it" } }]
[[scenarios.turns]]
text = "Done."

[[scenarios]]
when = "^read"
turns = [{ tool_calls = [{ name = "count_workspace" }] }, { text = "Read it." }]
"""

SPAWN = {"kind": "tool", "name": "spawn"}
ASKING = {"kind": "tool", "name": "count_idempotent_write", "approval": "ask"}
READ = {"kind": "tool", "name": "count_read_only"}
WORKSPACE = {"kind": "tool", "name": "count_workspace"}


async def child(stack: Stack, run: RunId, number: int = 1) -> RunId:
    """The nth subrun of a run, when it is there; what must hold of every run is asked of it as well."""
    started = await stack.told(run, "subrun.started", number)
    found = RunId(started["child_run_id"])
    if found not in stack.runs:
        stack.runs.append(found)
    return found


async def line(stack: Stack, root: RunId, levels: int) -> list[RunId]:
    found = [root]
    for _ in range(levels):
        found.append(await child(stack, found[-1]))
    return found


async def run_of(stack: Stack, run: RunId) -> Run:
    return (await stack.record(run)).run


async def snapshot(stack: Stack, run: RunId) -> CapabilitySnapshot:
    named = (await run_of(stack, run)).capability_snapshot_id
    assert named is not None
    found = await stack.read(lambda connection: snapshots.load(connection, named))
    assert found is not None
    return found


async def waits_too(stack: Stack, run: RunId, asked: Checkpoint) -> None:
    """Until a run above tells that it waits for what was asked below it."""
    await stack.waits_for(asked.model_copy(update={"run_id": run}))


async def results(stack: Stack, run: RunId) -> list[str]:
    return [event["preview"] for event in of_type(await stack.events(run), "tool_execution.completed")]


async def queue(stack: Stack, root: RunId) -> list[Checkpoint]:
    """What waits for somebody in a run and all below it."""
    page = await stack.read(
        lambda connection: checkpoints.list_checkpoints(
            connection, stack.tenant, PageRequest(), status="open", run_id=root
        )
    )
    return list(page.items)


def ending(told: list[Event]) -> tuple[str, str]:
    return told[-1]["type"], told[-1]["stop_reason"]


async def test_a_checkpoint_three_levels_down_is_the_roots_across_a_restart(stack: Stack) -> None:
    root = await stack.create("deep", capabilities=[SPAWN, ASKING])
    zero, one, two, three = family = await line(stack, root, 3)
    asked = await stack.checkpoint(three)
    for run in family:
        await waits_too(stack, run, asked)
    stack.workers[-1].kill()
    waiting = [await run_of(stack, run) for run in family]
    assert [(run.status, run.waiting_for and run.waiting_for.checkpoint_ids) for run in waiting] == [
        ("waiting", (asked.id,))
    ] * 4
    assert [run.parent_run_id for run in waiting] == [None, zero, one, two]
    assert asked.ancestor_run_ids == waiting[3].ancestor_run_ids == (zero, one, two)
    assert [open_one.id for open_one in await queue(stack, root)] == [asked.id]

    await stack.start_worker()
    await stack.decide(asked, "approve")
    for run in family:
        assert ending(await stack.ended(run)) == ("run.completed", "end_turn")
    assert len(stack.counted(await stack.events(three))) == 1
    said = (await run_of(stack, root)).output_text or ""
    assert said.startswith(f"Zero: The subrun {one} completed (end_turn)")
    assert said.endswith("Three.")
    assert await stack.read(reconcile.look) == []

    held = [await snapshot(stack, run) for run in family]
    named = [one.document.parent and one.document.parent.digest for one in held]
    assert named == [None, *(one.digest for one in held[:-1])]
    assert [one.document.subruns and one.document.subruns.depth for one in held] == [3, 2, 1, None]
    deepest = held[3].document
    assert [(grant.name, grant.approval) for grant in deepest.grants] == [("count_idempotent_write", "ask")]
    assert [(one.name, one.asked, one.given) for one in deepest.downgrades] == [
        ("count_idempotent_write", "auto", "ask")
    ]
    assert {one.name: one.rule for one in deepest.denials} == {"spawn": DEPTH, "count_read_only": NOT_HELD}
    assert {one.document.policy_digest for one in held} == {held[0].document.policy_digest}
    assert held[1].digest in (await results(stack, root))[0]


async def test_a_denied_call_below_is_a_result_below(stack: Stack) -> None:
    root = await stack.create("level two", capabilities=[SPAWN, ASKING])
    below = await child(stack, root)
    asked = await stack.checkpoint(below)
    await waits_too(stack, root, asked)
    await stack.decide(asked, "deny")
    told = await stack.ended(root)
    assert len(of_type(told, "run.waiting")) == len(of_type(told, "run.resumed")) == 1
    assert stack.counted(await stack.events(below)) == []


@pytest.mark.parametrize("point", ["after_claim", "after_effect"])
async def test_a_worker_that_dies_while_it_spawns_leaves_one_subrun(stack: Stack, point: Any) -> None:
    stack.arm(point, "spawn")
    root = await stack.create("one", capabilities=[SPAWN])
    await until(lambda: stack.workers[-1].ended, 60, f"{point} was not reached\n{stack.logs()}")
    await stack.start_worker()
    told = await stack.ended(root)
    only = await child(stack, root)
    assert len(of_type(told, "subrun.started")) == len(of_type(told, "subrun.completed")) == 1
    assert (await run_of(stack, only)).output_text == "Said."
    assert (await run_of(stack, root)).output_text == f"It said: {(await results(stack, root))[0]}"


async def test_a_cancel_ends_everything_below(stack: Stack) -> None:
    root = await stack.create("many", capabilities=[SPAWN])
    below = [await child(stack, root, number) for number in (1, 2, 3, 4)]
    spawning = [run for run in below if (await stack.record(run)).request.input == "busy"]
    deepest = await child(stack, spawning[0]) if spawning else below[0]
    for run in {*below, deepest} - set(spawning):
        await stack.told(run, "response.delta")
    refused = [text for text in await results(stack, root) if text.startswith("subrun.fan_out")]
    assert refused == ["subrun.fan_out: 4 subruns are at work; wait until one has ended"]
    await stack.cancel(root)
    for run in (root, *below, deepest):
        assert ending(await stack.ended(run)) == ("run.cancelled", "cancelled")
    assert await stack.read(reconcile.look) == []


async def test_an_interrupt_stops_what_is_below_and_the_run_goes_on(stack: Stack) -> None:
    root = await stack.create("many", capabilities=[SPAWN])
    below = [await child(stack, root, number) for number in (1, 2, 3, 4)]
    await stack.interrupt(root, message="enough of them")
    assert ending(await stack.ended(root)) == ("run.completed", "end_turn")
    for run in below:
        assert ending(await stack.ended(run)) == ("run.cancelled", "cancelled")
    assert await stack.read(lambda connection: subruns.open_children(connection, root)) == []


async def test_a_subrun_that_is_cancelled_alone_is_an_error_of_its_call(stack: Stack) -> None:
    root = await stack.create("level two", capabilities=[SPAWN, ASKING])
    below = await child(stack, root)
    await waits_too(stack, root, await stack.checkpoint(below))
    await stack.cancel(below)
    told = await stack.ended(root)
    assert ending(told) == ("run.completed", "end_turn")
    [completed] = of_type(told, "tool_execution.completed")
    assert completed["is_error"]
    assert completed["preview"].startswith(f"The subrun {below} was cancelled")
    assert of_type(told, "run.resumed")


async def test_a_tree_never_takes_more_than_its_root_may(stack: Stack) -> None:
    most = 6_000
    limits = {"max_tokens": most, "max_turns": 1_000, "max_tool_calls": 1_000}
    root = await stack.create("share", model="p", capabilities=[SPAWN, READ], limits=limits)
    told = await stack.ended(root, within=120)
    family = [root, *[await child(stack, root, number) for number in (1, 2, 3)]]
    runs = [await run_of(stack, run) for run in family]
    assert ending(told) == ("run.completed", "max_tokens")
    assert [run.stop_reason for run in runs[1:]] == ["max_tokens"] * 3
    took = [run.usage.total for run in runs]
    assert most / 2 < sum(took) <= most
    assert min(took[1:]) <= 300
    account = await stack.read(lambda connection: spending.counted(connection, f"run:{root}"))
    assert (account.spent.tokens, account.held) == (sum(took), Amount())


async def test_a_tree_has_no_more_turns_than_its_root_may(stack: Stack) -> None:
    root = await stack.create("pays", capabilities=[SPAWN, READ], limits={"max_turns": 5})
    told = await stack.ended(root)
    below = await child(stack, root)
    assert ending(told) == ending(await stack.events(below)) == ("run.completed", "max_turns")
    assert [(await run_of(stack, run)).step_count for run in (root, below)] == [1, 4]


async def test_a_tree_makes_no_more_tool_calls_than_its_root_may(stack: Stack) -> None:
    root = await stack.create("pays", capabilities=[SPAWN, READ], limits={"max_tool_calls": 4})
    told = await stack.ended(root)
    below = await stack.events(await child(stack, root))
    assert ending(told) == ("run.completed", "end_turn")
    assert ending(below) == ("run.completed", "max_tool_calls")
    assert len(stack.counted(below)) == 3


async def test_a_worker_that_dies_with_a_batch_too_many_carries_none_of_it_out(stack: Stack) -> None:
    asking = [SPAWN | {"approval": "ask"}, ASKING]
    root = await stack.create("level two", capabilities=asking, limits={"max_tool_calls": 1})
    asked = await stack.checkpoint(root)
    stack.arm("before_completion", "call_model")
    await stack.decide(asked, "approve")
    await until(lambda: stack.workers[-1].ended, 60, f"the worker does not die\n{stack.logs()}")
    await stack.start_worker()
    below = await child(stack, root)
    assert ending(await stack.ended(root)) == ("run.completed", "end_turn")
    assert ending(await stack.events(below)) == ("run.completed", "max_tool_calls")


async def test_a_subrun_asks_before_it_passes_the_limits_above_it(stack: Stack) -> None:
    limits = {"max_tokens": 1_500, "on_exceed": "ask"}
    root = await stack.create("pays", model="p", capabilities=[SPAWN, READ], limits=limits)
    below = await child(stack, root)
    asked = await stack.checkpoint(below)
    assert (asked.kind, asked.rule) == ("budget", f"budget.limits:{root}")
    await waits_too(stack, root, asked)
    await stack.decide(asked, "approve")
    assert ending(await stack.ended(below)) == ("run.completed", "max_tokens")
    own = await stack.checkpoint(root)
    assert own.rule == "budget.limits"
    await stack.decide(own, "deny")
    assert ending(await stack.ended(root)) == ("run.completed", "max_tokens")


async def test_taint_goes_up_with_a_result_and_down_with_a_task(stack: Stack) -> None:
    root = await stack.create("taint", capabilities=[SPAWN, WORKSPACE])
    told = await stack.ended(root)
    first, second = await child(stack, root, 1), await child(stack, root, 2)
    histories = [(await stack.record(run)).history for run in (root, first, second)]
    for history in histories:
        labels = await stack.read(lambda connection, history=history: taints.of_history(connection, history))
        assert labels == ("untrusted",)
    text = of_type(told, "tool_execution.completed")[0]["preview"]
    assert "labels untrusted" in text
    assert f"Untrusted content from the subrun {first}" in text
