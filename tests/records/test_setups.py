"""What set-ups made, as rows: the first one stays, and no project sees another's."""

from protocol.ids import OrgId, ProjectId, RunId
from protocol.principal import Tenant
from records import setups
from tests.records.world import World


async def test_the_first_set_up_of_a_key_stays_and_is_its_projects_own(world: World) -> None:
    elsewhere = Tenant(org_id=OrgId("org_x"), project_id=ProjectId("proj_x"))

    async def keep(tenant: Tenant, blob: str) -> bool:
        new = setups.NewSetup(key="sha256:k", run_id=RunId("run_1"), digest=blob, size=3)
        return await world.commit(lambda tx: setups.keep(tx, tenant, new))

    assert await keep(world.tenant, "sha256:a")
    assert not await keep(world.tenant, "sha256:b")
    assert await world.read(lambda c: setups.get(c, elsewhere, "sha256:k")) is None
    assert await keep(elsewhere, "sha256:c")
    assert await world.read(lambda c: setups.get(c, world.tenant, "sha256:k")) == "sha256:a"
    assert await world.read(lambda c: setups.get(c, elsewhere, "sha256:k")) == "sha256:c"
    assert await world.read(lambda c: setups.get(c, world.tenant, "sha256:x")) is None
