"""The reaper goes by the records alone: what has a live row stays, whoever made it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import update

from protocol.ids import BoxId, RunId, fresh
from protocol.target import BoxPlace, BoxSpec
from records import boxes
from records.database import Database
from records.hints import LocalHints
from records.run_end import RunOutcome, end
from records.tables import boxes as box_table
from records.writer import Writer
from targets.memory import MemoryHost
from tests.records.world import World
from worker.reaper import Reaper

SPEC = BoxSpec(image="any")


class House:
    """One engine with the reaper of a worker that has made nothing itself."""

    def __init__(self, world: World, database: Database, writer: Writer) -> None:
        self.world = world
        self.host = MemoryHost()
        self.reaper = Reaper(database, writer, self.host, seconds=1)

    async def begin(self, run_id: RunId) -> tuple[BoxId, BoxPlace]:
        """A box that some worker is making."""
        box_id = BoxId(fresh("box_"))
        assert await self.world.commit(lambda tx: boxes.begin(tx, box_id, run_id, "dev"), run_id)
        return box_id, await self.host.create(SPEC, box_id)

    async def left(self) -> set[BoxId | None]:
        """The boxes that the engine shows after the reaper was there."""
        await self.reaper.reap()
        return {box for box, _ in await self.host.boxes()}


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    database = Database.open(f"sqlite:///{tmp_path / 'rhone.db'}", tmp_path / "blobs")
    database.migrate()
    writer = Writer(database, LocalHints())
    yield House(await World.make(database, writer), database, writer)
    writer.close()
    database.close()


async def test_a_box_that_another_worker_is_making_is_left_alone(house: House) -> None:
    run_id = await house.world.run()
    box_id, place = await house.begin(run_id)
    assert await house.left() == {box_id}
    await house.world.commit(lambda tx: boxes.materialized(tx, box_id, place), run_id)
    assert await house.left() == {box_id}
    await house.world.commit(lambda tx: boxes.release(tx, run_id), run_id)
    assert await house.left() == set()
    assert [box.state for box in await house.world.read(lambda c: boxes.of_run(c, run_id))] == ["gone"]


async def test_a_container_without_a_row_is_gone_at_once(house: House) -> None:
    run_id = await house.world.run()
    await house.host.create(SPEC, BoxId(fresh("box_")))
    box_id, _ = await house.begin(run_id)
    assert await house.left() == {box_id}


async def test_a_box_whose_maker_died_goes_when_another_one_makes_it(house: House) -> None:
    run_id = await house.world.run()
    await house.begin(run_id)
    box_id, _ = await house.begin(run_id)
    assert await house.left() == {box_id}


async def test_a_box_whose_maker_died_goes_with_its_run(house: House) -> None:
    run_id = await house.world.run()
    await house.begin(run_id)
    cancelled = RunOutcome(status="cancelled", stop_reason="cancelled")
    await house.world.commit(lambda tx: end(tx, run_id, cancelled), run_id)
    assert await house.left() == set()


async def test_a_box_whose_maker_died_and_whose_run_nobody_takes_up_goes_by_its_age(house: House) -> None:
    await house.begin(await house.world.run())
    assert len(await house.left()) == 1
    late = update(box_table)
    await house.world.commit(
        lambda tx: tx.connection.execute(late.values(created_at=tx.now - boxes.MAKING_LIMIT)).rowcount
    )
    assert await house.left() == set()
    assert await house.world.read(boxes.owned) == frozenset()


async def test_the_image_of_a_run_in_flight_is_needed_also_where_its_box_went(house: House) -> None:
    run_id = await house.world.run()
    box_id, place = await house.begin(run_id)
    await house.reaper.collect()
    assert house.host.needed == frozenset(), "that one is not finished"
    await house.world.commit(lambda tx: boxes.materialized(tx, box_id, place), run_id)
    await house.world.commit(lambda tx: boxes.release(tx, run_id), run_id)
    assert await house.left() == set()
    await house.reaper.collect()
    assert house.host.needed == {place.image_digest}
    cancelled = RunOutcome(status="cancelled", stop_reason="cancelled")
    await house.world.commit(lambda tx: end(tx, run_id, cancelled), run_id)
    await house.reaper.collect()
    assert house.host.needed == frozenset()
