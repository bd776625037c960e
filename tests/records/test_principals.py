"""Principals, keys, idempotency and snapshots."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest
from sqlalchemy import update

from capabilities.snapshot import NotVerified, Verified, verify_evidence
from protocol.digest import digest
from protocol.ids import PrincipalId, ProjectId
from protocol.principal import Caller, Principal
from records import idempotency, keys, principals, snapshots
from records.idempotency import Begun, InProgress, Mismatch, Replay, Scope
from records.paging import PageRequest
from records.tables import idempotency as table
from records.tx import Tx
from tests.records.world import World
from tests.snapshots import unsigned

PEPPER = b"pepper"
SCOPE = Scope(
    project_id=ProjectId("proj_1"),
    principal_id=PrincipalId("prin_1"),
    route="POST /v1/runs",
    path_ids=(),
    key="k",
)
ONE, OTHER = digest({"body": 1}), digest({"body": 2})


async def test_starting_twice_makes_one_administrator(world: World) -> None:
    first, again = [await world.commit(principals.bootstrap) for _ in range(2)]
    assert first == again
    assert first[1].roles == ("admin",)
    page = await world.read(lambda c: principals.list_principals(c, first[0], PageRequest()))
    assert page.items == [first[1]]


async def test_a_key_names_its_principal_until_it_is_revoked(world: World) -> None:
    made: Principal = await world.commit(
        lambda tx: principals.create_principal(
            tx, world.tenant, name="Ann \u2603", kind="user", roles=("dev",)
        )
    )
    minted = keys.mint(PEPPER)
    new = principals.NewKey(
        id=minted.key_id,
        principal_id=made.id,
        scopes=("run", "read"),
        secret_hash=minted.secret_hash,
        actor_id="a",
    )
    key = await world.commit(lambda tx: principals.create_key(tx, world.tenant, new))
    assert key is not None
    read = keys.read(minted.token, PEPPER)
    assert read is not None
    caller = await world.read(lambda c: principals.authenticate(c, *read))
    assert caller == Caller(
        tenant=world.tenant, principal_id=made.id, name="Ann \u2603", roles=("dev",), scopes=("run", "read"),
        auth_method="api_key", key_id=minted.key_id, actor_id="a",
    )  # fmt: skip
    await world.commit(lambda tx: principals.set_roles(tx, world.tenant, made.id, ("release",)))
    now = await world.read(lambda c: principals.authenticate(c, *read))
    assert now is not None
    assert now.roles == ("release",)
    assert await world.read(lambda c: principals.authenticate(c, read.key_id, "0" * 64)) is None
    assert (
        await world.read(lambda c: principals.authenticate(c, keys.KeyId("key_none"), read.secret_hash))
        is None
    )
    revoked = await world.commit(lambda tx: principals.revoke_key(tx, world.tenant, minted.key_id))
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert await world.read(lambda c: principals.authenticate(c, *read)) is None
    listed = await world.read(lambda c: principals.list_keys(c, world.tenant, PageRequest()))
    assert listed.items == [revoked]


async def test_a_key_is_not_made_for_another_tenants_principal(world: World) -> None:
    foreign = world.tenant.model_copy(update={"project_id": "proj_other"})
    new = principals.NewKey(
        id=keys.mint(PEPPER).key_id, principal_id=principals.ADMIN, scopes=(), secret_hash="x"
    )
    assert await world.commit(lambda tx: principals.create_key(tx, foreign, new)) is None


async def begin(world: World, payload: str = ONE, scope: Scope = SCOPE):
    return await world.commit(lambda tx: idempotency.begin(tx, scope, payload))


async def test_the_same_mutation_is_made_once_and_answered_twice(world: World) -> None:
    assert await begin(world) == Begun()
    assert await begin(world) == InProgress()
    assert await begin(world, OTHER) == Mismatch()
    await world.commit(lambda tx: idempotency.keep(tx, SCOPE, "run_1", 201))
    assert await begin(world) == Replay(resource_id="run_1", status=201)
    assert await begin(world, OTHER) == Mismatch()
    assert await begin(world, OTHER, SCOPE.model_copy(update={"key": "k2"})) == Begun()
    assert await begin(world, OTHER, SCOPE.model_copy(update={"path_ids": ("run_1",)})) == Begun()


async def test_of_a_hundred_requests_with_one_key_one_begins(world: World) -> None:
    results = await asyncio.gather(*(begin(world) for _ in range(100)))
    assert sorted(type(result).__name__ for result in results) == ["Begun"] + ["InProgress"] * 99


async def test_what_failed_on_our_side_may_be_asked_for_again(world: World) -> None:
    await begin(world)
    await world.commit(lambda tx: idempotency.forget(tx, SCOPE))
    assert await begin(world) == Begun()
    await world.commit(lambda tx: idempotency.keep(tx, SCOPE, "run_1", 201))
    await world.commit(lambda tx: idempotency.forget(tx, SCOPE))
    assert await begin(world) == Replay(resource_id="run_1", status=201)


@pytest.mark.parametrize(("column", "kept"), [("leased_until", False), ("expires_at", True)])
async def test_a_lapsed_row_is_taken_over_by_one(world: World, column: str, kept: bool) -> None:
    await begin(world)
    if kept:
        await world.commit(lambda tx: idempotency.keep(tx, SCOPE, "run_1", 201))

    def lapse(tx: Tx) -> None:
        tx.connection.execute(update(table).values({column: tx.now - timedelta(milliseconds=1)}))

    await world.commit(lapse)
    results = await asyncio.gather(*(begin(world) for _ in range(10)))
    assert sorted(type(result).__name__ for result in results) == ["Begun"] + ["InProgress"] * 9


async def test_rows_older_than_a_day_are_swept(world: World) -> None:
    await begin(world)
    assert await world.commit(idempotency.sweep) == 0
    await world.commit(lambda tx: tx.connection.execute(update(table).values(expires_at=tx.now)).rowcount)
    assert await world.commit(idempotency.sweep) == 1


async def test_a_snapshot_and_its_evidence_come_back_as_they_were_kept(world: World) -> None:
    run_id = await world.run()
    snapshot = unsigned(
        run_id, (await world.record(run_id)).run.created_at, target={"memory": 1.5, "none": None}
    )
    assert await world.commit(lambda tx: snapshots.add(tx, world.tenant, snapshot), run_id)
    assert not await world.commit(lambda tx: snapshots.add(tx, world.tenant, snapshot), run_id)
    kept = await world.read(lambda c: snapshots.get(c, world.tenant, snapshot.id))
    assert kept == snapshot
    assert kept is not None
    assert digest(kept.document) == snapshot.digest
    foreign = world.tenant.model_copy(update={"project_id": "proj_other"})
    assert await world.read(lambda c: snapshots.get(c, foreign, snapshot.id)) is None
    for number in range(3):
        unit = partial(
            snapshots.add_evidence, snapshot_id=snapshot.id, kind="box", body={"n": number, "x": None}
        )
        await world.commit(unit, run_id)
    evidence = await world.read(lambda c: snapshots.list_evidence(c, snapshot.id))
    assert [(one.ordinal, one.body["n"]) for one in evidence] == [(1, 0), (2, 1), (3, 2)]
    assert verify_evidence(snapshot, evidence) == Verified()
    for changed in (
        [evidence[0], evidence[2]],
        [evidence[0].model_copy(update={"body": {"n": 7}}), *evidence[1:]],
        [evidence[1], evidence[0], evidence[2]],
        [evidence[0].model_copy(update={"at": evidence[0].at + timedelta(seconds=1)}), *evidence[1:]],
    ):
        assert isinstance(verify_evidence(snapshot, changed), NotVerified)
    other = snapshot.model_copy(update={"digest": "sha256:other"})
    assert isinstance(verify_evidence(other, evidence), NotVerified)


async def test_a_policy_text_is_kept_by_its_digest(world: World) -> None:
    for _ in range(2):
        await world.commit(lambda tx: snapshots.keep_policy(tx, "sha256:p", "permit(principal);\u0000"))
    assert await world.read(lambda c: snapshots.policy_text(c, "sha256:p")) == "permit(principal);\u0000"
    assert await world.read(lambda c: snapshots.policy_text(c, "sha256:q")) is None
