"""Versions of a project's policy: numbered, never changed, the latest of each name holds."""

from protocol.ids import OrgId, PrincipalId, ProjectId
from protocol.principal import Tenant
from records import project_policies
from records.paging import PageRequest
from tests.records.world import World

ANN = PrincipalId("prin_ann")


async def test_the_latest_version_holds_and_the_earlier_ones_stay(world: World) -> None:
    put = project_policies.put
    first, new = await world.commit(lambda tx: put(tx, world.tenant, "strict", "// one", ANN))
    assert (first.version, new) == (1, True)
    again = await world.commit(lambda tx: put(tx, world.tenant, "strict", "// one", ANN))
    assert again == (first, False)
    second, _ = await world.commit(lambda tx: put(tx, world.tenant, "strict", "// two", ANN))
    other, _ = await world.commit(lambda tx: put(tx, world.tenant, "all", "// all", ANN))
    assert second.version == 2
    assert await world.read(lambda c: project_policies.holding(c, world.tenant)) == [other, second]
    kept = await world.read(lambda c: project_policies.get(c, world.tenant, "strict", first.digest))
    assert kept == first
    page = await world.read(lambda c: project_policies.list_policies(c, world.tenant, PageRequest()))
    assert sorted(page.items, key=lambda policy: policy.name) == [other, second]
    stranger = Tenant(org_id=OrgId("org_default"), project_id=ProjectId("proj_other"))
    assert await world.read(lambda c: project_policies.holding(c, stranger)) == []
