"""Boxes, inboxes, and the questions of `rhone reconcile`."""

from datetime import timedelta
from functools import partial

from sqlalchemy import delete, update

from protocol.ids import BoxId, RunId, fresh
from protocol.inbox import Cancel, InboxItem, Interrupt
from protocol.target import BoxPlace
from records import boxes, checks, effects, inbox, tool_executions
from records.run_end import RunOutcome, end
from records.tables import boxes as box_table
from records.tables import effects as effect_table
from records.tables import events as event_table
from records.tx import Tx
from tests.records.world import ENVELOPE, World
from worker.lineage import lineage

DONE = RunOutcome(status="completed", stop_reason="end_turn")
PLACE = BoxPlace(container_id="c1", host="host-1", image_digest="sha256:0", pool_key="k")


async def begin(world: World, run_id: RunId) -> BoxId | None:
    box_id = BoxId(fresh("box_"))
    begun = await world.commit(lambda tx: boxes.begin(tx, box_id, run_id, "dev"), run_id)
    return box_id if begun else None


async def materialize(world: World, run_id: RunId) -> boxes.Box | None:
    box_id = await begin(world, run_id)
    if box_id is None:
        return None
    return await world.commit(lambda tx: boxes.materialized(tx, box_id, PLACE), run_id)


async def test_each_materialization_is_a_generation_and_the_former_box_is_reaped(world: World) -> None:
    run_id = await world.run()
    first, second = await materialize(world, run_id), await materialize(world, run_id)
    assert first is not None
    assert second is not None
    assert (first.generation, second.generation, second.place) == (1, 2, PLACE)
    assert await world.read(lambda c: boxes.active(c, run_id)) == second
    assert [box.id for box in await world.read(boxes.to_reap)] == [first.id]
    assert [box.id for box in await world.read(boxes.placed)] == [first.id, second.id]
    assert await world.read(boxes.owned) == {first.id, second.id}
    await world.commit(lambda tx: boxes.gone(tx, first.id))
    assert await world.read(boxes.to_reap) == []
    assert [box.state for box in await world.read(lambda c: boxes.of_run(c, run_id))] == ["gone", "active"]
    await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
    assert await materialize(world, run_id) is None
    assert await world.read(boxes.owned) == {second.id}


async def test_a_box_that_is_being_made_is_owned_before_it_has_a_place(world: World) -> None:
    run_id = await world.run()
    box_id = await begin(world, run_id)
    assert await world.read(boxes.owned) == {box_id}
    assert await world.read(boxes.placed) == await world.read(lambda c: boxes.of_run(c, run_id)) == []
    assert await world.read(lambda c: boxes.active(c, run_id)) is None
    assert await world.read(boxes.stale) == []
    assert box_id is not None
    await world.commit(lambda tx: boxes.discard(tx, box_id), run_id)
    assert await world.read(boxes.owned) == frozenset()
    made = await materialize(world, run_id)
    assert made is not None
    assert made.generation == 1, "what was never finished is no generation"
    await world.commit(lambda tx: boxes.discard(tx, made.id), run_id)
    assert await world.read(boxes.owned) == {made.id}, "what is finished is not discarded"


async def test_of_two_who_make_a_box_for_a_run_the_later_one_finishes_it(world: World) -> None:
    run_id = await world.run()
    zombie, heir = await begin(world, run_id), await begin(world, run_id)
    assert zombie is not None
    assert heir is not None
    assert await world.read(boxes.owned) == {heir}
    assert await world.commit(lambda tx: boxes.materialized(tx, zombie, PLACE), run_id) is None
    finished = await world.commit(lambda tx: boxes.materialized(tx, heir, PLACE), run_id)
    assert finished is not None
    assert (finished.id, finished.generation) == (heir, 1)
    assert await world.commit(lambda tx: boxes.materialized(tx, heir, PLACE), run_id) is None


async def test_what_is_being_made_is_given_up_with_its_run(world: World) -> None:
    run_id = await world.run()
    box_id = await begin(world, run_id)
    assert box_id is not None
    await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
    assert await world.read(boxes.owned) == frozenset()
    assert await world.commit(lambda tx: boxes.materialized(tx, box_id, PLACE), run_id) is None
    assert await begin(world, run_id) is None


async def test_a_box_that_is_made_for_too_long_is_stale_by_the_database_s_clock(world: World) -> None:
    run_id = await world.run()
    box_id = await begin(world, run_id)

    def age(tx: Tx, by: timedelta) -> None:
        tx.connection.execute(update(box_table).values(created_at=tx.now - by))

    await world.commit(lambda tx: age(tx, boxes.MAKING_LIMIT - timedelta(minutes=1)))
    assert await world.read(boxes.stale) == []
    await world.commit(lambda tx: age(tx, boxes.MAKING_LIMIT))
    assert await world.read(boxes.stale) == [(box_id, run_id)]


async def test_a_lost_tree_is_rebuilt_from_the_chain_of_its_bundles(world: World) -> None:
    run_id = await world.run()
    for step, bundle in ((1, "sha256:a"), (2, None), (3, "sha256:c")):
        new = boxes.NewTree(step=step, commit=f"c{step}", tree=f"t{step}", bundle_digest=bundle)
        save = partial(boxes.save_tree, run_id=run_id, new=new)
        await world.commit(save, run_id)
        await world.commit(save, run_id)
    newest_first = await world.read(lambda c: boxes.trees_of(c, run_id))
    assert [tree.commit for tree in newest_first] == ["c3", "c2", "c1"]
    line = await world.read(lambda c: lineage(c, run_id))
    assert (line.tree, line.bundles) == (newest_first[0], ("sha256:a", "sha256:c"))
    former = await world.read(lambda c: lineage(c, run_id, before=3))
    assert (former.tree, former.bundles) == (newest_first[1], ("sha256:a",))


async def test_a_later_run_goes_on_from_the_last_workspace_of_its_session(world: World) -> None:
    async def over(target: str | None, *trees: boxes.NewTree) -> RunId:
        choice = {"kind": "workspace", "name": target} if target else None
        run_id = await world.run(**({"target": choice} if choice else {}))
        for tree in trees:
            await world.commit(partial(boxes.save_tree, run_id=run_id, new=tree), run_id)
        await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
        return run_id

    def tree(step: int, name: str, *, whole: bool = False) -> boxes.NewTree:
        return boxes.NewTree(step=step, commit=name, tree=name, bundle_digest=f"sha256:{name}", whole=whole)

    async def line(run_id: RunId) -> tuple[str | None, tuple[str, ...]]:
        found = await world.read(lambda c: lineage(c, run_id))
        return found.tree.commit if found.tree else None, found.bundles

    await over("dev", tree(1, "a", whole=True), tree(2, "b"))
    await over(None)
    assert await line(await over("dev")) == ("b", ("sha256:a", "sha256:b"))
    assert await line(await over("dev", tree(1, "c"))) == ("c", ("sha256:a", "sha256:b", "sha256:c"))
    assert await line(await over("dev", tree(4, "d", whole=True))) == ("d", ("sha256:d",))
    assert await line(await over("dev", tree(1, "e"))) == ("e", ("sha256:d", "sha256:e"))
    assert await line(await over("other")) == (None, ())
    for number in range(60):
        last = await over("other", tree(1, f"o{number}"))
    assert len((await line(last))[1]) == 60


async def test_what_is_said_to_a_run_is_heard_in_order_and_wakes_it_until_it_is(world: World) -> None:
    one, other = await world.several_runs(2)
    stop, cancel = Interrupt(behavior="discard"), Cancel(reason="enough")
    for message in (stop, cancel):
        await world.commit(lambda tx, message=message: inbox.say(tx, one, message), one)
    assert await world.read(lambda c: inbox.take(c, one, 0)) == [
        InboxItem(position=1, message=stop),
        InboxItem(position=2, message=cancel),
    ]
    assert await world.read(lambda c: inbox.take(c, one, 1)) == [InboxItem(position=2, message=cancel)]
    assert await world.read(lambda c: inbox.take(c, other, 0)) == []
    await world.commit(lambda tx: inbox.acknowledge(tx, one, 1), one)
    assert await world.read(inbox.unseen) == [one]
    await world.commit(lambda tx: inbox.acknowledge(tx, one, 2), one)
    await world.commit(lambda tx: inbox.acknowledge(tx, one, 1), one)
    assert await world.read(inbox.unseen) == []


async def test_a_sound_log_has_no_fault_and_a_broken_one_is_named(world: World) -> None:
    sound, gap, tail, silent = await world.several_runs(4)
    for run_id in (sound, gap, silent):
        await world.commit(lambda tx, run=run_id: end(tx, run, DONE), run_id)
    assert await world.read(checks.log_faults) == []
    table = event_table.c

    def break_them(tx: Tx) -> None:
        tx.connection.execute(delete(event_table).where(table.run_id == gap, table.seq == 2))
        tx.connection.execute(delete(event_table).where(table.run_id == tail, table.seq == 2))
        over = update(event_table).where(table.run_id == silent, table.type == "run.completed")
        tx.connection.execute(over.values(type="step.completed"))

    await world.commit(break_them)
    faults = {fault.run_id: fault for fault in await world.read(checks.log_faults)}
    assert faults.keys() == {gap, tail, silent}
    assert (faults[gap].kept, faults[gap].last_seq, faults[gap].terminal_events) == (2, 3, 1)
    assert (faults[tail].highest, faults[tail].last_seq) == (1, 2)
    assert faults[silent].terminal_events == 0


async def test_claims_deeds_and_open_runs_are_told(world: World) -> None:
    ended, waiting = await world.several_runs(2)
    execution = await world.tool(ended, source="forge", tool="open_pull_request")
    intent = effects.Intent(
        tool_execution_id=execution,
        run_id=ended,
        effect="idempotent_write",
        envelope_digest=ENVELOPE,
        prepared={},
    )

    def act(tx: Tx) -> None:
        effects.intend(tx, intent)
        effects.claim(tx, execution, envelope_digest=ENVELOPE)
        effects.settle(tx, execution, 1, "succeeded", {"pull": 7})

    await world.commit(act, ended)
    assert await world.read(checks.forge_deeds) == [
        checks.Deed(ended, execution, "open_pull_request", {"pull": 7})
    ]
    await world.commit(lambda tx: tool_executions.cancel(tx, execution, "interrupted"), ended)
    await world.commit(lambda tx: end(tx, ended, DONE), ended)
    assert await world.read(checks.claims_without_outcome) == []
    await world.commit(
        lambda tx: tx.connection.execute(update(effect_table).values(state="claimed")) and None
    )
    assert await world.read(checks.claims_without_outcome) == [execution]
    assert await world.read(checks.open_runs) == [checks.OpenRun(waiting, "running", ())]
