"""What boxes did at the proxy, as the receipt of their run keeps it."""

from datetime import timedelta

import pytest

from protocol.event import EgressDenied
from protocol.ids import BoxId, RunId, fresh
from protocol.noun import Moment
from records import boxes, effects, egress, run_end
from records.effects import Intent
from records.run_end import RunOutcome
from records.tx import Tx
from tests.records.world import World

DENIED = EgressDenied(rule="egress.host", reason="no", host="a.test", port=443, method="GET", path="/x")


async def box_of(world: World, run: RunId) -> BoxId:
    box = BoxId(fresh("box_"))
    assert await world.commit(lambda tx: boxes.begin(tx, box, run, "dev"), run)
    return box


async def now(world: World, run: RunId) -> Moment:
    return await world.commit(lambda tx: tx.now, run)


async def used(world: World, run: RunId, box: BoxId, use: str, method: str = "POST") -> bool:
    return await world.commit(egress.used(run, box, use, method, "a.test", 443), run)


async def changed(world: World, run: RunId, box: BoxId, since: Moment) -> bool:
    return await world.read(lambda connection: egress.may_have_changed(connection, run, box, since))


async def test_a_denial_is_told_once_and_not_after_the_end(world: World) -> None:
    run = await world.run()
    box = await box_of(world, run)
    for key in ("one", "one", "two"):
        await world.commit(egress.denied(run, box, DENIED, key), run)
    assert (await world.types(run)).count("egress.denied") == 2
    outcome = RunOutcome(status="completed", stop_reason="end_turn")
    await world.commit(lambda tx: run_end.end(tx, run, outcome), run)
    await world.commit(egress.denied(run, box, DENIED, "three"), run)
    assert (await world.types(run))[-1] == "run.completed"


async def test_only_the_box_that_a_run_has_may_use_its_door(world: World) -> None:
    run = await world.run()
    first = await box_of(world, run)
    assert await used(world, run, first, "request")
    second = await box_of(world, run)
    assert not await used(world, run, first, "request")
    assert await used(world, run, second, "request")
    await world.commit(lambda tx: boxes.release(tx, run), run)
    assert not await used(world, run, second, "request")


async def test_what_only_read_leaves_nothing_to_ask_about(world: World) -> None:
    run = await world.run()
    box = await box_of(world, run)
    began = await now(world, run)
    await world.commit(egress.denied(run, box, DENIED, "one"), run)
    assert not await changed(world, run, box, began)
    assert await used(world, run, box, "request")
    assert await changed(world, run, box, began)
    assert not await changed(world, run, BoxId(fresh("box_")), began)
    assert not await changed(world, run, box, began + timedelta(hours=1))


@pytest.mark.parametrize(("uses", "expected"), [(("tunnel",), True), (("tunnel", "closed"), False)])
async def test_a_tunnel_counts_until_it_is_closed(
    world: World, uses: tuple[str, ...], expected: bool
) -> None:
    run = await world.run()
    box = await box_of(world, run)
    for use in uses:
        assert await used(world, run, box, use, "CONNECT")
    later = await now(world, run) + timedelta(hours=1)
    assert await changed(world, run, box, later) is expected


async def test_a_doubted_effect_is_unknown_and_may_be_tried_again_by_a_decision(world: World) -> None:
    run = await world.run()
    execution = await world.tool(run, source="target", tool="bash", arguments={"command": "true"})

    def unit(tx: Tx) -> None:
        intent = Intent(
            tool_execution_id=execution,
            run_id=run,
            effect="workspace",
            envelope_digest="sha256:e",
            prepared={},
        )
        effects.intend(tx, intent)
        effects.claim(tx, execution, envelope_digest="sha256:e")

    await world.commit(unit, run)
    await world.commit(lambda tx: effects.doubt(tx, execution), run)
    row = await world.read(lambda connection: effects.get(connection, execution))
    assert row is not None
    assert (row.state, row.epoch) == ("unknown", 1)
    assert await world.commit(lambda tx: effects.reopen(tx, execution), run)
