"""A person changes the arguments of what waits: the approval authorizes nothing, and the call begins anew."""

from protocol.checkpoint import Checkpoint, Required
from protocol.digest import digest
from protocol.ids import RunId, ToolExecutionId
from protocol.inbox import CheckpointResolved
from protocol.noun import JSONObject
from records import checkpoints, effects, inbox, tool_executions
from records.decisions import Closed, Decided, Verdict, WrongVerb
from records.tx import Tx
from tests.records.world import APPROVE, ENVELOPE, World

OLD: JSONObject = {"to": "you"}
NEW: JSONObject = {"to": "them"}


def edit(arguments: JSONObject = NEW) -> Verdict:
    return APPROVE.model_copy(update={"arguments": arguments})


async def asking(world: World, required: Required | None = None) -> tuple[RunId, ToolExecutionId, Checkpoint]:
    run_id = await world.run()
    execution = await world.tool(run_id, arguments=OLD)
    required = required or Required()
    return run_id, execution, await world.checkpoint(run_id, execution, arguments=OLD, required=required)


async def test_an_edit_closes_the_checkpoint_at_once_and_is_told_with_its_digest(world: World) -> None:
    run_id, _, one = await asking(world, Required(count=2))
    await world.decide(one.id, run_id, APPROVE, "ann")
    decided = await world.decide(one.id, run_id, edit(), "ann")
    assert isinstance(decided, Decided)
    assert (decided.checkpoint.status, decided.checkpoint.edited) == ("approved", NEW)
    event = (await world.log(run_id))[-1]
    assert (event["type"], event["arguments_digest"]) == ("checkpoint.decided", digest(NEW))
    heard = await world.read(lambda connection: inbox.take(connection, run_id, 0))
    assert [item.message for item in heard] == [CheckpointResolved(checkpoint_id=one.id)]


async def test_the_same_arguments_are_an_ordinary_approval(world: World) -> None:
    run_id, _, one = await asking(world, Required(count=2))
    half = await world.decide(one.id, run_id, edit(OLD), "ann")
    assert isinstance(half, Decided)
    assert half.checkpoint.status == "open"
    full = await world.decide(one.id, run_id, APPROVE, "bob")
    assert isinstance(full, Decided)
    assert (full.checkpoint.status, full.checkpoint.edited) == ("approved", None)
    assert (await world.log(run_id))[-1].get("arguments_digest") is None


async def test_the_same_edit_again_is_accepted_and_anything_else_is_not(world: World) -> None:
    run_id, _, one = await asking(world)
    first = await world.decide(one.id, run_id, edit())
    assert await world.decide(one.id, run_id, edit(), "bob") == first
    for other in (APPROVE, edit({"to": "nobody"}), edit(OLD), Verdict(decision="deny")):
        assert isinstance(await world.decide(one.id, run_id, other), Closed)
    plain = await world.checkpoint(run_id, arguments=OLD)
    await world.decide(plain.id, run_id, APPROVE)
    assert isinstance(await world.decide(plain.id, run_id, edit()), Closed)


async def test_only_an_approval_takes_other_arguments(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id, kind="handoff", arguments=OLD)
    verdict = Verdict(decision="approve", arguments=NEW)
    assert isinstance(await world.decide(one.id, run_id, verdict), WrongVerb)
    assert await world.status(one.id) == "open"


async def test_an_edited_approval_is_never_spent(world: World) -> None:
    run_id, execution, one = await asking(world)
    await world.decide(one.id, run_id, edit())
    why = await world.commit(
        lambda tx: checkpoints.redeem(tx, one.id, execution, ENVELOPE, again=False), run_id
    )
    assert why == "the approval came with other arguments"
    assert await world.status(one.id) == "approved"


async def test_an_edit_is_taken_up_once_and_the_call_is_to_be_begun(world: World) -> None:
    run_id, execution, one = await asking(world)
    await world.decide(one.id, run_id, edit())

    def take_up(tx: Tx) -> tuple[bool, bool]:
        return checkpoints.revoke(tx, one), tool_executions.edit(tx, execution, NEW)

    assert await world.commit(take_up, run_id) == (True, True)
    assert await world.commit(take_up, run_id) == (False, False)
    after = await world.read(lambda connection: tool_executions.get(connection, execution))
    assert after is not None
    assert (after.status, after.arguments, after.arguments_digest) == ("requested", NEW, digest(NEW))
    assert (after.edits, after.checkpoint_id) == (1, None)
    assert await world.status(one.id) == "revoked"
    assert (await world.types(run_id))[-2:] == ["checkpoint.decided", "checkpoint.revoked"]
    again = await world.decide(one.id, run_id, edit())
    assert isinstance(again, Decided)
    assert again.checkpoint.status == "revoked"


async def test_an_edit_that_was_taken_back_is_not_accepted_again(world: World) -> None:
    run_id, _, one = await asking(world)
    await world.decide(one.id, run_id, edit())
    assert isinstance(await world.decide(one.id, run_id, Verdict(decision="revoke")), Decided)
    assert isinstance(await world.decide(one.id, run_id, edit()), Closed)


async def test_the_intent_of_the_changed_act_replaces_that_of_the_first(world: World) -> None:
    run_id, execution, _ = await asking(world)
    for envelope in (ENVELOPE, "sha256:" + "2" * 64):
        intent = effects.Intent(
            tool_execution_id=execution,
            run_id=run_id,
            effect="non_idempotent_write",
            envelope_digest=envelope,
            prepared={},
        )
        await world.commit(lambda tx, intent=intent: effects.intend(tx, intent), run_id)
    row = await world.read(lambda connection: effects.get(connection, execution))
    assert row is not None
    assert (row.envelope_digest, row.epoch) == ("sha256:" + "2" * 64, 0)
