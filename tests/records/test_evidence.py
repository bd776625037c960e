"""Evidence: a chain that each effect names the end of, at the moment when it is claimed."""

from capabilities.snapshot import Verified, verify_evidence
from protocol.capability import CapabilitySnapshot
from protocol.digest import digest
from protocol.effect import Claim, Claimed
from protocol.ids import RunId
from records import effects, snapshots
from records.effects import Intent
from records.tx import Tx
from tests.records.world import World
from tests.snapshots import unsigned


async def snapshot_of(world: World, run_id: RunId) -> CapabilitySnapshot:
    snapshot = unsigned(run_id, (await world.record(run_id)).run.created_at)
    assert await world.commit(lambda tx: snapshots.add(tx, world.tenant, snapshot), run_id)
    return snapshot


async def named_by_an_effect(world: World, run_id: RunId, ordinal: int) -> str | None:
    execution = await world.tool(run_id, ordinal=ordinal)
    envelope = digest({"the": ordinal})
    intent = Intent(
        tool_execution_id=execution,
        run_id=run_id,
        effect="non_idempotent_write",
        envelope_digest=envelope,
        prepared={},
    )

    def unit(tx: Tx) -> Claim:
        effects.intend(tx, intent)
        return effects.claim(tx, execution, envelope_digest=envelope)

    assert isinstance(await world.commit(unit, run_id), Claimed)
    row = await world.read(lambda connection: effects.get(connection, execution))
    assert row is not None
    return row.evidence_digest


async def test_each_effect_names_what_was_materialized_last_and_a_rebuild_appends(world: World) -> None:
    run_id = await world.run()
    snapshot = await snapshot_of(world, run_id)
    named = [await named_by_an_effect(world, run_id, 0)]
    for generation in (1, 2):
        await world.commit(
            lambda tx, n=generation: snapshots.add_evidence(tx, snapshot.id, "workspace", {"generation": n}),
            run_id,
        )
        named.append(await named_by_an_effect(world, run_id, generation))
    chain = await world.read(lambda connection: snapshots.list_evidence(connection, snapshot.id))
    assert named == [None, *(row.digest for row in chain)]
    assert [row.previous for row in chain] == [snapshot.digest, chain[0].digest]
    assert verify_evidence(snapshot, chain) == Verified()
