"""Differences of a candidate policy: kept once each."""

from records import shadow
from records.shadow import Difference
from tests.records.world import World


async def test_a_difference_is_kept_once_and_found_by_its_run(world: World) -> None:
    first, second = await world.several_runs(2)
    told = Difference(
        **world.tenant.model_dump(),
        run_id=first,
        execution="",
        tool="bash",
        candidate="sha256:1",
        answer="allow",
        rule="a",
        would_answer="deny",
        would_rule="b",
    )
    other = told.model_copy(update={"run_id": second})
    for one in (told, told, other):
        await world.commit(lambda tx, o=one: shadow.keep(tx, o))
    found = await world.read(lambda c: shadow.differences(c, {}, 10))
    assert {one.run_id for one in found} == {first, second}
    assert len(found) == 2
    [mine] = await world.read(lambda c: shadow.differences(c, {"run_id": first}, 10))
    assert mine.model_dump(exclude={"at"}) == told.model_dump()
    assert len(await world.read(lambda c: shadow.differences(c, {}, 1))) == 1
