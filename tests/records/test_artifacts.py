"""Artifacts as rows: one for an execution, told once, never beyond what a run may keep."""

import pytest
from sqlalchemy import update

from protocol.artifact import MOST_BYTES, MOST_OF_A_RUN, Artifact, NewArtifact
from protocol.errors import Refused
from protocol.ids import RunId, ToolExecutionId, derived
from records import artifacts, events, run_end, tool_executions
from records.artifact_tables import artifacts as table
from records.tx import Tx
from tests.records.world import World


async def executed(world: World, run_id: RunId, ordinal: int = 0) -> ToolExecutionId:
    execution = ToolExecutionId(derived("tool_", run_id, ordinal))
    new = tool_executions.NewToolExecution(
        id=execution,
        run_id=run_id,
        session_id=world.session_id,
        step=1,
        ordinal=ordinal,
        tool_call_id=f"call-{ordinal}",
        tool="save_artifact",
        source="target",
        effect="idempotent_write",
        arguments={"path": "report.html"},
    )
    await world.commit(lambda tx: tool_executions.request(tx, new), run_id)
    return execution


def new(execution: ToolExecutionId, size: int = 3, digest: str = "sha256:a") -> NewArtifact:
    return NewArtifact(
        tool_execution_id=execution,
        name="report.html\u202e",
        path="report.html",
        media_type="text/html",
        size=size,
        digest=digest,
    )


async def test_an_execution_keeps_one_artifact_and_tells_it_once(world: World) -> None:
    run_id = await world.run()
    execution = await executed(world, run_id)

    async def saved(digest: str) -> Artifact:
        kept = new(execution, digest=digest)
        return await world.commit(lambda tx: artifacts.save(tx, run_id, world.session_id, kept), run_id)

    first = await saved("sha256:a")
    assert await saved("sha256:b") == first
    assert await world.read(lambda c: artifacts.list_artifacts(c, run_id)) == [first]
    assert await world.read(lambda c: artifacts.get(c, run_id, first.id)) == first
    assert await world.read(lambda c: artifacts.get(c, RunId("run_x"), first.id)) is None
    told = await world.read(lambda c: events.page(c, run_id, 0, 100))
    assert [one.type for one in told].count("artifact.saved") == 1


async def test_a_run_keeps_no_more_than_its_share(world: World) -> None:
    run_id = await world.run()
    for ordinal in range(10):
        kept = new(await executed(world, run_id, ordinal), size=MOST_BYTES)
        await world.commit(lambda tx, k=kept: artifacts.save(tx, run_id, world.session_id, k), run_id)
    over = new(await executed(world, run_id, 10), size=1)
    with pytest.raises(Refused) as refused:
        await world.commit(lambda tx: artifacts.save(tx, run_id, world.session_id, over), run_id)
    assert refused.value.code == "artifact.too_large"

    def many(tx: Tx) -> None:
        tx.connection.execute(update(table).where(table.c.run_id == run_id).values(size=0))

    await world.commit(many, run_id)
    for ordinal in range(10, MOST_OF_A_RUN):
        kept = new(await executed(world, run_id, ordinal), size=0)
        await world.commit(lambda tx, k=kept: artifacts.save(tx, run_id, world.session_id, k), run_id)
    over = new(await executed(world, run_id, MOST_OF_A_RUN), size=0)
    with pytest.raises(Refused) as refused:
        await world.commit(lambda tx: artifacts.save(tx, run_id, world.session_id, over), run_id)
    assert refused.value.code == "artifact.too_many"


async def test_nothing_is_kept_for_a_run_that_has_ended(world: World) -> None:
    run_id = await world.run()
    kept = new(await executed(world, run_id))
    outcome = run_end.RunOutcome(status="completed", stop_reason="end_turn")
    await world.commit(lambda tx: run_end.end(tx, run_id, outcome), run_id)
    with pytest.raises(Refused) as refused:
        await world.commit(lambda tx: artifacts.save(tx, run_id, world.session_id, kept), run_id)
    assert refused.value.code == "run.ended"
    assert await world.read(lambda c: artifacts.list_artifacts(c, run_id)) == []
