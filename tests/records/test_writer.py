"""The writer: units of many tasks in one commit, each with its own outcome."""

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from protocol.errors import Fault, Unavailable
from protocol.event import ResponseDelta, RunStarted, StepStarted
from protocol.ids import CallId, RunId
from records import runs
from records.database import Database
from records.hints import Hints
from records.tx import Tx
from records.writer import Writer
from tests.records.world import World, gapless


def delta(text: str) -> ResponseDelta:
    return ResponseDelta(call_id=CallId("call_1"), attempt=1, block=0, delta=text)


@asynccontextmanager
async def busy(writer: Writer) -> AsyncGenerator[None]:
    """While inside, the writer's thread is held up, so that what is committed queues into one batch."""
    entered, released = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold(_: Tx) -> None:
        loop.call_soon_threadsafe(entered.set)
        assert released.wait(10)

    holding = asyncio.create_task(writer.commit(hold))
    await entered.wait()
    try:
        yield
    finally:
        released.set()
        await holding


async def test_events_are_numbered_without_a_gap_across_units_and_runs(world: World) -> None:
    one, other = await world.several_runs(2)
    tasks: list[asyncio.Task[int | None]] = []
    async with busy(world.writer):
        for number in range(20):
            for run_id in (one, other):
                unit = partial(Tx.append, run_id=run_id, body=delta(str(number)))
                tasks.append(asyncio.create_task(world.commit(unit, run_id)))
        await asyncio.sleep(0)
    assert await asyncio.gather(*tasks) == [seq for seq in range(3, 23) for _ in range(2)]
    for run_id in (one, other):
        log = await world.log(run_id)
        assert gapless(log)
        assert [event["delta"] for event in log[2:]] == [str(number) for number in range(20)]
        assert (await world.record(run_id)).run.last_seq == 22


async def test_an_event_is_the_complete_flat_object(world: World) -> None:
    run_id = await world.run()
    await world.commit(lambda tx: tx.append(run_id, StepStarted(step=1)), run_id)
    event = (await world.log(run_id))[-1]
    at = event.pop("at")
    assert event == {
        "type": "step.started",
        "seq": 3,
        "run_id": run_id,
        "session_id": world.session_id,
        "step": 1,
    }
    assert len(at) == len("2026-01-01T00:00:00.000Z")
    assert at.endswith("Z")


async def test_a_keyed_event_is_appended_once(world: World) -> None:
    run_id = await world.run()

    def twice(tx: Tx) -> tuple[int | None, int | None]:
        return tx.append(run_id, StepStarted(step=1), key="k"), tx.append(
            run_id, StepStarted(step=1), key="k"
        )

    assert await world.commit(twice, run_id) == (3, None)
    assert await world.commit(lambda tx: tx.append(run_id, StepStarted(step=1), key="k"), run_id) is None
    assert await world.types(run_id) == ["run.created", "run.started", "step.started"]


async def test_a_unit_that_does_not_name_its_run_is_told_so(world: World) -> None:
    run_id = await world.run()
    with pytest.raises(LookupError, match=run_id):
        await world.commit(lambda tx: tx.append(run_id, delta("x")))


async def test_a_unit_that_raises_fails_alone_and_leaves_nothing(world: World) -> None:
    run_id = await world.run()
    ran: list[str] = []

    def good(tx: Tx) -> int | None:
        ran.append("good")
        return tx.append(run_id, delta("good"))

    def bad(tx: Tx) -> None:
        ran.append("bad")
        tx.append(run_id, delta("bad"))
        raise ValueError("mine")

    async with busy(world.writer):
        tasks = [asyncio.create_task(world.commit(unit, run_id)) for unit in (good, bad, good)]
        await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [results[0], results[2]] == [3, 4]
    assert isinstance(results[1], ValueError)
    assert ran == ["good", "bad", "good", "bad", "good"]
    assert [event.get("delta") for event in await world.log(run_id)] == [None, None, "good", "good"]


async def test_a_statement_that_fails_fails_its_unit_alone(world: World) -> None:
    run_id = await world.run()

    def broken(tx: Tx) -> None:
        tx.append(run_id, delta("bad"))
        tx.connection.exec_driver_sql("SELECT * FROM no_such_table")

    async with busy(world.writer):
        units = (broken, lambda tx: tx.append(run_id, delta("good")))
        tasks = [asyncio.create_task(world.commit(unit, run_id)) for unit in units]
        await asyncio.sleep(0)
    failed, seq = await asyncio.gather(*tasks, return_exceptions=True)
    assert "no_such_table" in str(failed)
    assert not isinstance(failed, Fault)
    assert seq == 3


async def test_a_swallowed_failure_does_not_pass_for_a_commit(world: World) -> None:
    """PostgreSQL answers COMMIT of a failed transaction with a ROLLBACK and no error."""
    if world.database.is_sqlite:
        return

    def swallows(tx: Tx) -> None:
        try:
            tx.connection.exec_driver_sql("SELECT * FROM no_such_table")
        except Exception:
            return

    with pytest.raises(Exception, match="has failed"):
        await world.commit(swallows)


async def test_a_full_queue_says_so_and_keeps_what_it_has(
    database: Database, hints: Hints, world: World
) -> None:
    run_id = await world.run()
    small = Writer(database, hints, capacity=3)
    async with busy(small):
        kept = [
            asyncio.create_task(small.commit(lambda tx: tx.append(run_id, delta("x")), runs=[run_id]))
            for _ in range(3)
        ]
        await asyncio.sleep(0)
        with pytest.raises(Unavailable) as refused:
            await small.commit(lambda tx: tx.append(run_id, delta("y")), runs=[run_id])
    assert (refused.value.code, refused.value.retry_after) == ("storage.overloaded", 1)
    assert await asyncio.gather(*kept) == [3, 4, 5]
    small.close()


async def test_what_is_queued_is_committed_before_the_writer_closes(
    database: Database, hints: Hints, world: World
) -> None:
    run_id = await world.run()
    closing = Writer(database, hints)
    tasks = [
        asyncio.create_task(closing.commit(lambda tx: tx.append(run_id, delta("x")), runs=[run_id]))
        for _ in range(500)
    ]
    await asyncio.sleep(0)
    await asyncio.to_thread(closing.close)
    assert await asyncio.gather(*tasks) == list(range(3, 503))
    with pytest.raises(Unavailable):
        await closing.commit(lambda tx: None)


async def test_a_caller_that_gave_up_before_its_turn_leaves_nothing(world: World) -> None:
    run_id = await world.run()
    async with busy(world.writer):
        task = asyncio.create_task(world.commit(lambda tx: tx.append(run_id, delta("x")), run_id))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.sleep(0)
    await world.commit(lambda tx: None)
    assert await world.types(run_id) == ["run.created", "run.started"]


async def test_two_writers_that_lock_the_same_runs_crosswise_do_not_block_each_other(
    database: Database, hints: Hints, world: World
) -> None:
    one, other = await world.several_runs(2)
    second = Writer(database, hints)

    def both(tx: Tx) -> None:
        tx.append(one, delta("x"))
        tx.append(other, delta("x"))

    def there_and_back(writer: Writer, order: list[RunId]) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(writer.commit(both, runs=order)) for _ in range(100)]

    tasks = there_and_back(world.writer, [one, other]) + there_and_back(second, [other, one])
    await asyncio.wait_for(asyncio.gather(*tasks), 60)
    for run_id in (one, other):
        log = await world.log(run_id)
        assert gapless(log)
        assert len(log) == 202
    second.close()


async def test_the_clock_is_the_databases_and_stands_still_in_a_batch(world: World) -> None:
    run_id = await world.run()

    def ats(tx: Tx) -> list[str]:
        tx.append(run_id, RunStarted(model="m", harness=runs.RunRequest(input="x").harness))
        return [str(tx.now)]

    async with busy(world.writer):
        tasks = [asyncio.create_task(world.commit(ats, run_id)) for _ in range(3)]
        await asyncio.sleep(0)
    seen = await asyncio.gather(*tasks)
    assert len({str(at) for at in seen}) == 1
