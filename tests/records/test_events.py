"""The log of a run: pages, cursors, what is no longer kept, and following it."""

import asyncio

import pytest

from protocol.errors import Gone, InvalidRequest
from protocol.event import ResponseDelta
from protocol.ids import CallId, RunId
from records import events
from records.database import Database
from records.events import Extent
from records.follow import follow
from records.hints import Hints, LocalHints
from records.run_end import RunOutcome, end
from records.tx import Tx
from tests.records.world import World

DONE = RunOutcome(status="completed", stop_reason="end_turn", output_text="done")


def delta(text: str) -> ResponseDelta:
    return ResponseDelta(call_id=CallId("call_1"), attempt=1, block=0, delta=text)


async def tell(world: World, run_id: RunId, number: int) -> None:
    def unit(tx: Tx) -> None:
        for _ in range(number):
            tx.append(run_id, delta("x"))

    await world.commit(unit, run_id)


async def test_a_page_begins_behind_the_cursor_and_keeps_to_its_limit(world: World) -> None:
    run_id = await world.run()
    await tell(world, run_id, 8)
    page = await world.read(lambda connection: events.page(connection, run_id, 3, 4))
    assert [event.seq for event in page] == [4, 5, 6, 7]
    last = await world.read(lambda connection: events.last(connection, run_id))
    assert last is not None
    assert (last.seq, last.type) == (10, "response.delta")


async def test_pages_of_many_runs_are_what_each_would_be_alone(world: World) -> None:
    cursors = [(await world.run(session_id=await world.session()), number) for number in range(6)]
    for run_id, _ in cursors:
        await tell(world, run_id, 5)
    wanted = [*cursors, (RunId("run_nobody"), 0)]
    together = await world.read(lambda connection: events.pages(connection, wanted, 4))
    alone = await world.read(lambda c: [events.page(c, run_id, after, 4) for run_id, after in wanted])
    assert together == alone
    assert [len(page) for page in together] == [4, 4, 4, 4, 3, 2, 0]


async def test_below_what_is_kept_there_is_a_410_and_never_a_silent_jump(world: World) -> None:
    run_id = await world.run()
    await tell(world, run_id, 8)
    assert await world.commit(lambda tx: events.trim(tx, run_id, 6), run_id) == 5
    extent = await world.read(lambda connection: events.extent(connection, run_id))
    assert extent == Extent(first_kept=6, last=10, ended=False)
    assert events.cursor(extent, "5") == 5
    with pytest.raises(Gone) as gone:
        events.cursor(extent, "4")
    assert gone.value.details == {"first_seq": 6, "last_seq": 10}


async def test_trimming_never_takes_the_last_event_and_never_gives_back(world: World) -> None:
    run_id = await world.run()
    await tell(world, run_id, 3)
    await world.commit(lambda tx: events.trim(tx, run_id, 4), run_id)
    await world.commit(lambda tx: events.trim(tx, run_id, 2), run_id)
    assert await world.read(lambda connection: events.first_kept(connection, run_id)) == 4
    await world.commit(lambda tx: events.trim(tx, run_id, 99), run_id)
    extent = await world.read(lambda connection: events.extent(connection, run_id))
    assert extent == Extent(first_kept=5, last=5, ended=False)


HOSTILE = ["-1", "1.0", "x", "", " 1", "1\n", "\x00", "9" * 19, "11", "\u0661", "0x1", "1" * 10_000]


@pytest.mark.parametrize("text", HOSTILE)
def test_a_cursor_that_was_never_given_out_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        events.cursor(Extent(first_kept=1, last=10, ended=False), text)
    assert refused.value.code == "run.cursor_invalid"
    assert len(refused.value.message) < 300


def test_no_cursor_begins_with_the_first_event_that_is_kept() -> None:
    assert events.cursor(Extent(first_kept=4, last=10, ended=True), None) == 3
    assert events.cursor(Extent(first_kept=1, last=10, ended=True), "10") == 10


async def collect(database: Database, hints: Hints, run_id: RunId, after: int = 0) -> list[int]:
    return [event.seq async for page in follow(database, hints, run_id, after) for event in page]


async def test_a_follower_gets_what_is_there_then_what_comes_and_ends(world: World, hints: Hints) -> None:
    run_id = await world.run()
    following = asyncio.create_task(collect(world.database, hints, run_id))
    await tell(world, run_id, 600)
    for _ in range(20):
        await tell(world, run_id, 1)
    await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
    assert await asyncio.wait_for(following, 60) == list(range(1, 624))


async def test_a_follower_that_never_gets_a_hint_looks_by_itself(world: World) -> None:
    run_id = await world.run()
    following = asyncio.create_task(collect(world.database, LocalHints(), run_id, 2))
    await asyncio.sleep(0.05)
    await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
    assert await asyncio.wait_for(following, 60) == [3]


async def test_a_follower_that_has_everything_ends_at_once(world: World, hints: Hints) -> None:
    run_id = await world.run()
    await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
    assert await asyncio.wait_for(collect(world.database, hints, run_id, 3), 60) == []
