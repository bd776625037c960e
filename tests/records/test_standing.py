"""Standing permissions hold for their principal or project, until the database's clock says no."""

from protocol.ids import OrgId, PrincipalId, ProjectId
from protocol.principal import Tenant
from protocol.standing import StandingGrant
from records import standing
from records.paging import PageRequest
from records.tx import Tx
from tests.records.world import World

ANN = PrincipalId("prin_ann")


async def made(world: World, owner: str | None, expires_in_s: int | None = None) -> StandingGrant:
    def unit(tx: Tx) -> StandingGrant:
        draft = standing.draft(tx, ("pytest", "-q"), owner, ANN, expires_in_s)
        return standing.add(tx, world.tenant, draft)

    return await world.commit(unit)


async def held(world: World, principal: str, tenant: Tenant | None = None) -> set[str]:
    found = await world.read(lambda c: standing.holding(c, tenant or world.tenant, principal, "bash"))
    return {grant.id for grant in found}


async def test_a_permission_is_of_its_principal_or_its_project(world: World) -> None:
    own, everybody = await made(world, "prin_ann"), await made(world, None)
    assert await held(world, "prin_ann") == {own.id, everybody.id}
    assert await held(world, "prin_bob") == {everybody.id}
    stranger = Tenant(org_id=OrgId("org_default"), project_id=ProjectId("proj_other"))
    assert await held(world, "prin_ann", stranger) == set()
    page = await world.read(lambda c: standing.list_grants(c, world.tenant, PageRequest(order="asc")))
    assert {grant.id for grant in page.items} == {own.id, everybody.id}


async def test_a_revoked_and_an_expired_permission_hold_no_longer(world: World) -> None:
    revoked, expired = await made(world, "prin_ann"), await made(world, "prin_ann", 0)
    lasting = await made(world, "prin_ann", 3600)
    gone = await world.commit(lambda tx: standing.revoke(tx, world.tenant, revoked.id))
    assert gone is not None
    assert gone.revoked_at is not None
    again = await world.commit(lambda tx: standing.revoke(tx, world.tenant, revoked.id))
    assert again == gone
    assert expired.expires_at == expired.created_at
    assert await held(world, "prin_ann") == {lasting.id}
