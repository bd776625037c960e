"""A run goes on with what it was given when it began, and does nothing that cannot be told."""

import asyncio

import pytest

from protocol.ids import RunId
from records import project_policies, snapshots
from records.decisions import Decided
from tests.stack import POLICY, Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

ACT = "count_non_idempotent_write"
ASKING = [{"kind": "tool", "name": ACT, "approval": "ask"}]
NEVER = f'@id("later.never") forbid (principal, action, resource == Tool::"{ACT}");\n'

SCRIPT = f"""
[[scenarios]]
[[scenarios.turns]]
tool_calls = [{{ name = "{ACT}" }}]
[[scenarios.turns]]
tool_calls = [{{ name = "{ACT}" }}]
[[scenarios.turns]]
text = "done"
"""

FULL = """CREATE TRIGGER full BEFORE INSERT ON receipts WHEN json_extract(NEW.record, '$.kind') = 'claim'
BEGIN SELECT RAISE(ABORT, 'full'); END"""


async def tried_again(stack: Stack, run: RunId) -> bool:
    """Whether the engine has begun some activity of the run for the third time."""
    described = await stack.handle(run).describe()
    return any(one.attempt > 2 for one in described.raw_description.pending_activities)


async def test_an_act_waits_for_its_receipt(stack: Stack) -> None:
    """RCP-07: while the store of receipts takes no claim nothing happens; then it does, once."""
    run = await stack.create("two acts", capabilities=ASKING)
    first = await stack.checkpoint(run)
    await stack.waits_for(first)
    with stack.database.engine.connect() as connection:
        connection.exec_driver_sql(FULL)
    assert isinstance(await stack.decide(first, "approve"), Decided)
    async with asyncio.timeout(60):
        while not await tried_again(stack, run):
            await asyncio.sleep(0.05)
    told = await stack.events(run)
    assert (stack.counted(told), of_type(told, "tool_execution.started")) == ([], [])
    with stack.database.engine.connect() as connection:
        connection.exec_driver_sql("DROP TRIGGER full")
    assert isinstance(await stack.decide(await stack.checkpoint(run, 2), "deny"), Decided)
    told = await stack.ended(run)
    assert len(stack.counted(told)) == 1


async def test_a_run_that_began_keeps_its_policy_whatever_is_written_later(stack: Stack) -> None:
    """RCP-06: the project's policy and the file of the installation change, and the worker is another one."""
    run = await stack.create("two acts", capabilities=ASKING)
    first = await stack.checkpoint(run)
    assert first.envelope is not None
    snapshot_id = first.envelope.snapshot_id
    began = await stack.read(lambda c: snapshots.load(c, snapshot_id))
    assert began is not None
    put = project_policies.put
    await stack.writer.commit(lambda tx: put(tx, stack.tenant, "strict", NEVER, stack.admin.id))
    (stack.data / "policy.cedar").write_text(POLICY + NEVER.replace("later", "latest"))
    stack.workers[-1].kill()
    await stack.start_worker()
    assert isinstance(await stack.decide(first, "approve"), Decided)
    second = await stack.checkpoint(run, 2)
    assert isinstance(await stack.decide(second, "approve"), Decided)
    told = await stack.ended(run)
    assert (told[-1]["output_text"], len(stack.counted(told))) == ("done", 2)
    assert await stack.read(lambda c: snapshots.load(c, snapshot_id)) == began
    assert second.envelope is not None
    assert second.envelope.policy_digest == began.document.policy_digest
    other = await stack.ended(await stack.create("two acts", capabilities=ASKING))
    assert stack.counted(other) == []
    [resolved] = of_type(other, "capability.resolved")
    assert resolved["denials"]["names"] == [ACT]
