"""The life of a run in the records: made, claimed, waiting, ended; each change once."""

import asyncio
from datetime import timedelta
from functools import partial

from sqlalchemy import update

from protocol.block import InputBlock
from protocol.errors import ErrorBody
from protocol.event import RunResumed
from protocol.ids import BoxId, CheckpointId, RunId, fresh
from protocol.inbox import Cancel
from protocol.run import WaitingFor
from protocol.target import BoxPlace
from protocol.usage import Usage
from records import blocks, boxes, calls, checkpoints, effects, inbox, runs, sessions, steps, tool_executions
from records.paging import PageRequest
from records.run_end import RunOutcome, abandon, end
from records.tables import runs as table
from records.tx import Tx
from tests.records.world import ENVELOPE, World, gapless

DONE = RunOutcome(status="completed", stop_reason="end_turn", output_text="done")
AWAY = ErrorBody(type="overloaded_error", code="engine.unavailable", message="away", retryable=True)


async def test_a_new_run_has_its_input_in_the_head_and_is_shown_as_queued(world: World) -> None:
    run_id = await world.run(claimed=False, input="Fix it", metadata={"ticket": "42"})
    record = await world.record(run_id)
    assert (record.run.status, record.starting, record.run.metadata) == ("queued", True, {"ticket": "42"})
    assert await world.types(run_id) == ["run.created"]
    last, head = await world.read(lambda connection: blocks.head(connection, world.session_id))
    assert [block.id for block in head] == [last]
    assert isinstance(head[0], InputBlock)
    assert (head[0].run_id, head[0].created_at) == (run_id, record.run.created_at)
    assert await world.commit(lambda tx: runs.mark_queued(tx, run_id), run_id)
    assert not await world.commit(lambda tx: runs.mark_queued(tx, run_id), run_id)
    assert not (await world.record(run_id)).starting


async def test_a_session_holds_one_run_that_has_not_ended(world: World) -> None:
    first = await world.run()
    busy = await world.commit(lambda tx: runs.create(tx, world.new_run()))
    assert busy == runs.SessionBusy(run_id=first)
    assert await world.read(lambda connection: runs.holder(connection, world.session_id)) == first
    await world.commit(lambda tx: end(tx, first, DONE), first)
    assert await world.read(lambda connection: runs.holder(connection, world.session_id)) is None
    second = await world.run()
    last = await world.read(
        lambda connection: runs.last_of_session(connection, world.session_id, before=second)
    )
    assert last is not None
    assert last.run.id == first


async def test_of_many_runs_at_once_one_gets_the_session(world: World) -> None:
    news = [world.new_run() for _ in range(20)]
    results = await asyncio.gather(*(world.commit(partial(runs.create, new=new)) for new in news))
    made = [result for result in results if isinstance(result, runs.Created)]
    assert len(made) == 1
    assert {r.run_id for r in results if isinstance(r, runs.SessionBusy)} == {made[0].record.run.id}


async def test_stateless_runs_share_a_session_and_keep_their_own_head(world: World) -> None:
    one = await world.run(context="stateless", input="one")
    other = await world.run(context="stateless", input="other")
    stateful = await world.run(input="third")
    heads = [
        (await world.read(lambda connection, history=history: blocks.head(connection, history)))[1]
        for history in (one, other, world.session_id)
    ]
    assert [[block.run_id for block in head] for head in heads] == [[one], [other], [stateful]]
    assert (await world.record(one)).history == one
    assert (await world.record(stateful)).history == world.session_id


async def test_a_paused_session_refuses_new_runs(world: World) -> None:
    await world.commit(lambda tx: sessions.pause(tx, world.tenant, world.session_id))
    assert await world.commit(lambda tx: runs.create(tx, world.new_run())) == runs.SessionPaused()
    await world.commit(lambda tx: sessions.resume(tx, world.tenant, world.session_id))
    await world.run()


async def test_a_retried_claim_gets_the_run_again_and_tells_it_once(world: World) -> None:
    run_id = await world.run()
    again = await world.commit(lambda tx: runs.claim(tx, run_id), run_id)
    assert again == await world.record(run_id)
    assert await world.types(run_id) == ["run.created", "run.started"]
    await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
    assert await world.commit(lambda tx: runs.claim(tx, run_id), run_id) is None


async def test_an_abandoned_start_is_failed_and_its_input_is_taken_back(world: World) -> None:
    run_id = await world.run(claimed=False)
    assert await world.commit(lambda tx: abandon(tx, run_id, AWAY), run_id)
    assert not await world.commit(lambda tx: abandon(tx, run_id, AWAY), run_id)
    assert await world.commit(lambda tx: runs.claim(tx, run_id), run_id) is None
    record = await world.record(run_id)
    assert (record.run.status, record.run.error) == ("failed", AWAY)
    assert await world.types(run_id) == ["run.created", "run.failed"]
    assert await world.read(lambda connection: blocks.head(connection, world.session_id)) == (None, [])


async def test_a_claimed_run_cannot_be_abandoned(world: World) -> None:
    run_id = await world.run()
    assert not await world.commit(lambda tx: abandon(tx, run_id, AWAY), run_id)


async def test_counters_add_up_and_an_unknown_cost_stays_unknown(world: World) -> None:
    known, unknown = await world.several_runs(2)
    usage = Usage(input_uncached=10, output_total=5, total=15)
    for run_id, costs in ((known, (0.5, 0.25)), (unknown, (0.5, None, 0.25))):
        for cost in costs:
            step = runs.Progress(steps=1, tools=2, usage=usage, cost_usd=cost, ttft_ms=7)
            await world.commit(lambda tx, run=run_id, step=step: runs.advance(tx, run, step), run_id)
        await world.commit(lambda tx, run=run_id: runs.advance(tx, run, runs.Progress(tools=1)), run_id)
    run = (await world.record(known)).run
    assert (run.step_count, run.tool_count, run.cost_usd, run.ttft_ms, run.usage.total) == (2, 5, 0.75, 7, 30)
    assert (await world.record(unknown)).run.cost_usd is None


async def test_the_clock_of_a_run_stands_still_while_it_waits(world: World) -> None:
    run_id = await world.run()
    ids = (CheckpointId("ckpt_1"),)
    assert await world.commit(lambda tx: runs.set_waiting(tx, run_id, ids), run_id)
    assert not await world.commit(lambda tx: runs.set_waiting(tx, run_id, ids), run_id)
    assert (await world.record(run_id)).run.waiting_for == WaitingFor(checkpoint_ids=ids)

    def an_hour_ago(tx: Tx) -> None:
        tx.connection.execute(update(table).values(waiting_since=tx.now - timedelta(hours=1)))

    await world.commit(an_hour_ago)
    assert await world.commit(lambda tx: runs.set_running(tx, run_id), run_id)
    assert not await world.commit(lambda tx: runs.set_running(tx, run_id), run_id)
    record = await world.record(run_id)
    assert 3_600_000 <= record.waited_ms < 3_660_000
    assert (record.run.status, record.run.waiting_for, record.waiting_since) == ("running", None, None)
    assert (await world.types(run_id))[2:] == ["run.waiting", "run.resumed"]


async def test_the_end_of_a_run_closes_everything_and_the_terminal_event_is_last(world: World) -> None:
    run_id = await world.run()
    call_id = fresh("call_")
    place = BoxPlace(container_id="c", host="host-1", image_digest="sha256:0", pool_key="k")

    def begin(tx: Tx) -> None:
        new = calls.NewCall(
            id=call_id, tenant=world.tenant, session_id=world.session_id, run_id=run_id, step=1,
            model="m", resolved_model="m",
        )  # fmt: skip
        calls.create(tx, new)
        calls.start_attempt(tx, call_id)
        steps.start(tx, run_id, 1, call_id)
        box_id = BoxId(fresh("box_"))
        boxes.begin(tx, box_id, run_id, "dev")
        boxes.materialized(tx, box_id, place)

    await world.commit(begin, run_id)
    waiting, approved, acting, _ = [await world.tool(run_id, ordinal=n) for n in range(4)]
    open_one = await world.checkpoint(run_id, waiting)
    unspent = await world.checkpoint(run_id, approved)

    def act(tx: Tx) -> None:
        checkpoints.move(tx, unspent, "open", "approved")
        tool_executions.start(tx, acting)
        intent = effects.Intent(
            tool_execution_id=acting, run_id=run_id, effect="workspace", envelope_digest=ENVELOPE, prepared={}
        )
        effects.intend(tx, intent)
        effects.claim(tx, acting, envelope_digest=ENVELOPE)

    await world.commit(act, run_id)
    before = len(await world.log(run_id))
    assert await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
    assert not await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
    log = await world.log(run_id)
    assert gapless(log)
    told = [(event["type"], event.get("outcome")) for event in log[before:]]
    assert told == [
        ("checkpoint.cancelled", None),
        ("checkpoint.revoked", None),
        ("tool_execution.completed", "not_executed"),
        ("tool_execution.completed", "not_executed"),
        ("tool_execution.completed", "interrupted"),
        ("tool_execution.completed", "not_executed"),
        ("run.completed", None),
    ]
    assert log[-1]["output_text"] == "done"
    assert log[-1]["cost_usd"] is None
    found = await world.read(lambda connection: checkpoints.of_run(connection, run_id))
    assert {one.id: one.status for one in found} == {open_one.id: "cancelled", unspent.id: "revoked"}
    executions = await world.read(lambda connection: tool_executions.list_executions(connection, run_id))
    assert {one.status for one in executions} == {"cancelled"}
    effect = await world.read(lambda connection: effects.get(connection, acting))
    assert effect is not None
    assert effect.state == "unknown"
    call = await world.read(lambda connection: calls.load(connection, call_id))
    step = await world.read(lambda connection: steps.get(connection, run_id, 1))
    assert (call and call.status, step and step.status) == ("interrupted", "interrupted")
    assert [box.run_id for box in await world.read(boxes.to_reap)] == [run_id]
    assert await world.commit(lambda tx: tx.append(run_id, RunResumed(checkpoint_ids=())), run_id) is None
    assert await world.commit(lambda tx: inbox.say(tx, run_id, Cancel()), run_id) == inbox.RunEnded()


async def test_runs_are_listed_newest_first_by_session_and_status(world: World) -> None:
    ids = await world.several_runs(5)
    await world.commit(lambda tx: end(tx, ids[0], DONE), ids[0])

    async def listed(page: PageRequest, **chosen: object) -> tuple[list[RunId], str | None]:
        found = await world.read(lambda c: runs.list_runs(c, world.tenant, page, **chosen))  # pyright: ignore
        return [run.id for run in found.items], found.next_cursor

    first, cursor = await listed(PageRequest(limit=3))
    rest, end_cursor = await listed(PageRequest(limit=3, cursor=cursor))
    assert (first + rest, end_cursor) == (ids[::-1], None)
    assert (await listed(PageRequest(order="asc")))[0] == ids
    assert (await listed(PageRequest(), status="completed"))[0] == ids[:1]
    assert (await listed(PageRequest(), status="running"))[0] == ids[:0:-1]


async def test_another_tenants_run_is_not_there(world: World) -> None:
    run_id = await world.run()
    foreign = world.tenant.model_copy(update={"project_id": "proj_other"})
    assert await world.read(lambda connection: runs.get(connection, foreign, run_id)) is None
    assert await world.read(lambda connection: runs.get(connection, world.tenant, run_id)) is not None
    listed = await world.read(lambda connection: runs.list_runs(connection, foreign, PageRequest()))
    assert listed.items == []


async def test_starts_that_nobody_took_up_are_found(world: World) -> None:
    run_id = await world.run(claimed=False)
    assert await world.read(lambda connection: runs.stale_starts(connection, 5)) == []
    assert await world.read(lambda connection: runs.stale_starts(connection, -1)) == [(run_id, None)]
    await world.commit(lambda tx: runs.mark_queued(tx, run_id), run_id)
    assert await world.read(lambda connection: runs.stale_starts(connection, -1)) == []
    assert await world.read(runs.open_runs) == [run_id]
