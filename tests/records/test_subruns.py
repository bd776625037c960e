"""Subruns in the records: one for each call that spawns, stopped with their parent, told of to it."""

from typing import Any

from sqlalchemy import Connection

from cli.reconcile import records as reconcile
from protocol.ids import CallId, RunId, ToolExecutionId
from protocol.inbox import Cancel, SubrunEnded
from protocol.run import Limits, RunStatus
from records import boxes, calls, checkpoints, effects, inbox, runs, subruns, taints, tool_executions
from records.effects import Intent
from records.paging import PageRequest
from records.run_end import RunOutcome, end
from records.tree import tree
from records.tx import Tx
from tests.records.world import World
from worker import family
from worker.lineage import lineage

DIGEST = "sha256:" + 64 * "1"


async def claimed(world: World, parent: RunId, number: int = 0) -> ToolExecutionId:
    """A call of `spawn` whose effect is claimed."""
    execution = await world.tool(parent, tool="spawn", ordinal=number)
    intent = Intent(
        tool_execution_id=execution,
        run_id=parent,
        effect="idempotent_write",
        envelope_digest=DIGEST,
        prepared={},
    )

    def unit(tx: Tx) -> None:
        effects.intend(tx, intent)
        effects.claim(tx, execution, envelope_digest=DIGEST)
        tool_executions.start(tx, execution)

    await world.commit(unit, parent)
    return execution


async def spawned(
    world: World, parent: RunId, *, taken_up: bool = True, number: int = 0, **fields: Any
) -> RunId:
    execution_id = await claimed(world, parent, number)
    record = await world.record(parent)
    new = world.new_run(context="stateless", **fields).model_copy(
        update={"parent_run_id": parent, "ancestor_run_ids": (*record.run.ancestor_run_ids, parent)}
    )

    def unit(tx: Tx) -> bool:
        execution = tool_executions.get(tx.connection, execution_id)
        assert execution is not None
        return subruns.begin(tx, record, execution, 1, new)

    assert await world.commit(unit, parent)
    if taken_up:
        await world.commit(lambda tx: runs.claim(tx, new.id), new.id)
    return new.id


async def status(world: World, run: RunId) -> RunStatus:
    return (await world.record(run)).run.status


async def said(world: World, run: RunId) -> list[Any]:
    return [item.message for item in await world.read(lambda c: inbox.take(c, run, 0))]


async def test_a_subrun_is_the_outcome_of_the_call_that_made_it(world: World) -> None:
    parent = await world.run()
    child = await spawned(world, parent)
    [effect] = await world.read(lambda c: effects.list_effects(c, parent))
    assert (effect.state, effect.result) == ("succeeded", {"child_run_id": child})
    assert (await world.log(parent))[-1]["type"] == "subrun.started"
    run = (await world.record(child)).run
    assert (run.parent_run_id, run.ancestor_run_ids) == (parent, (parent,))
    assert await world.read(lambda c: subruns.has_children(c, parent))
    assert not await world.read(lambda c: subruns.has_children(c, child))


async def test_a_subrun_has_read_what_its_parent_has(world: World) -> None:
    parent = await world.run()
    execution_id = await world.tool(parent)
    history = (await world.record(parent)).history

    def unit(tx: Tx) -> None:
        execution = tool_executions.get(tx.connection, execution_id)
        assert execution is not None
        taints.add(tx, history, execution, ["private", "untrusted"])

    await world.commit(unit, parent)
    child = await spawned(world, parent, number=1)
    below = (await world.record(child)).history
    assert below != history
    assert await world.read(lambda c: taints.of_history(c, below)) == ("private", "untrusted")


async def test_the_end_of_a_run_stops_what_is_below_and_is_heard_above(world: World) -> None:
    root = await world.run()
    middle = await spawned(world, root)
    deep, starting = await spawned(world, middle), await spawned(world, middle, taken_up=False, number=1)
    record = await world.record(middle)

    def unit(tx: Tx) -> None:
        if end(tx, middle, RunOutcome(status="failed", stop_reason="error")):
            subruns.tell_end(tx, root, middle)

    await family.stop_subruns(world.database, world.writer, record, unit)
    assert await status(world, starting) == "cancelled"
    assert await said(world, deep) == [Cancel(reason=family.OVER)]
    assert await said(world, root) == [SubrunEnded(child_run_id=middle)]
    assert (await world.log(root))[-1]["type"] == "subrun.completed"
    assert (await world.log(middle))[-1]["type"] == "run.failed"


async def test_a_tree_holds_a_run_and_all_below_it(world: World) -> None:
    root, other = await world.run(), await world.run(session_id=await world.session())
    one, two = await spawned(world, root), await spawned(world, root, number=1)
    deep = await spawned(world, one)
    for run, below in ((root, {root, one, two, deep}), (one, {one, deep}), (other, {other})):
        found = await world.read(lambda c, run=run: list(c.execute(tree(run)).scalars()))
        assert set(found) == below
    page = PageRequest(order="asc")
    listed = await world.read(lambda c: runs.list_runs(c, world.tenant, page, parent_run_id=root))
    assert [run.id for run in listed.items] == [one, two]


async def test_turns_and_tool_calls_count_for_every_run_above(world: World) -> None:
    root = await world.run()
    one, two = await spawned(world, root), await spawned(world, root, number=1)

    async def limited(**most: int) -> list[tuple[bool, bool]]:
        await world.commit(lambda tx: runs.set_limits(tx, root, Limits.model_validate(most)), root)
        records = [await world.record(run) for run in (root, one, two)]

        def query(connection: Connection) -> list[tuple[bool, bool]]:
            return [
                (
                    subruns.are_turns_used(connection, record, CallId("call_1")),
                    subruns.are_tools_passed(connection, record),
                )
                for record in records
            ]

        return await world.read(query)

    for number, run in enumerate((root, one, two)):
        record = await world.record(run)
        new = calls.NewCall(
            id=CallId(f"call_{number}"),
            tenant=world.tenant,
            session_id=record.run.session_id,
            run_id=run,
            step=1,
            model="m",
            resolved_model="m",
        )

        def unit(tx: Tx, new: calls.NewCall = new, run: RunId = run) -> None:
            assert calls.create(tx, new)
            runs.advance(tx, run, runs.Progress(tools=2))

        await world.commit(unit, run)
    assert await limited(max_turns=3, max_tool_calls=6) == [(False, False)] * 3
    assert await limited(max_turns=2, max_tool_calls=5) == [(True, True)] * 3
    assert await limited(max_turns=0, max_tool_calls=0) == [(False, False)] * 3


async def test_the_queue_of_a_run_holds_what_its_subruns_ask(world: World) -> None:
    root = await world.run()
    deep = await spawned(world, await spawned(world, root))
    asked = await world.checkpoint(deep, kind="question", ancestor_run_ids=(root,))
    page = await world.read(
        lambda c: checkpoints.list_checkpoints(c, world.tenant, PageRequest(), status="open", run_id=root)
    )
    assert [one.id for one in page.items] == [asked.id]
    assert page.items[0].ancestor_run_ids == (root,)


async def test_a_subrun_begins_with_the_work_tree_of_its_parent(world: World) -> None:
    dev, other = {"kind": "workspace", "name": "dev"}, {"kind": "workspace", "name": "other"}
    root = await world.run(target=dev)
    saved = boxes.NewTree(step=1, commit="c" * 40, tree="t" * 40, bundle_digest="sha256:bundle")
    await world.commit(lambda tx: boxes.save_tree(tx, root, saved), root)
    below, apart = await spawned(world, root, target=dev), await spawned(world, root, number=1, target=other)
    line = await world.read(lambda c: lineage(c, below))
    assert (line.tree and line.tree.commit, line.bundles) == ("c" * 40, ("sha256:bundle",))
    assert (await world.read(lambda c: lineage(c, apart))).tree is None


async def test_a_family_that_fell_apart_is_found(world: World) -> None:
    root = await world.run()
    child = await spawned(world, root)
    assert await world.read(reconcile.look) == []
    outcome = RunOutcome(status="completed", stop_reason="end_turn")
    await world.commit(lambda tx: end(tx, child, outcome), child)
    [unheard] = await world.read(reconcile.look)
    assert (unheard.check, unheard.subject) == ("subruns", root)
    stray = await spawned(world, root, number=1)
    await world.commit(lambda tx: end(tx, root, outcome), root)
    [left] = await world.read(reconcile.look)
    assert (left.check, left.subject) == ("subruns", stray)
