"""Who counts: different principals, each for the same act, and not the one whose run asks."""

import pytest

from protocol.checkpoint import Required
from protocol.ids import ToolExecutionId
from records import checkpoints
from records.decisions import Decided, IsRequester, Outcome, RoleMissing, Verdict
from tests.records.world import APPROVE, ENVELOPE, World

DENY = Verdict(decision="deny", reason="no")


def standing(outcome: Outcome) -> tuple[str, int]:
    assert isinstance(outcome, Decided), outcome
    return outcome.checkpoint.status, outcome.checkpoint.approvals


async def test_progress_is_shown_and_told_with_each_voice(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id, required=Required(count=3))
    seen = [standing(await world.decide(one.id, run_id, APPROVE, who)) for who in ("ann", "ann", "bob", "cy")]
    assert seen == [("open", 1), ("open", 1), ("open", 2), ("approved", 3)]
    told = [event for event in await world.log(run_id) if event["type"] == "checkpoint.decided"]
    assert [(event["approvals"], event["approvals_needed"]) for event in told] == [(1, 3), (2, 3), (3, 3)]


async def test_two_who_name_different_arguments_never_sum_up(world: World) -> None:
    """The first edit closes the question; what it asks for begins without a voice."""
    run_id = await world.run()
    execution = await world.tool(run_id)
    one = await world.checkpoint(run_id, execution, required=Required(count=2))
    await world.decide(one.id, run_id, APPROVE, "ann")
    edit = APPROVE.model_copy(update={"arguments": {"to": "bob"}})
    assert standing(await world.decide(one.id, run_id, edit, "bob")) == ("approved", 1)
    other = APPROVE.model_copy(update={"arguments": {"to": "cy"}})
    assert not isinstance(await world.decide(one.id, run_id, other, "cy"), Decided)
    for again in (False, True):
        why = await world.commit(
            lambda tx, again=again: checkpoints.redeem(
                tx, one.id, ToolExecutionId(execution), ENVELOPE, again=again
            ),
            run_id,
        )
        assert why == "the approval came with other arguments"
    two = await world.checkpoint(run_id, execution, required=Required(count=2))
    assert standing(await world.decide(two.id, run_id, APPROVE, "bob")) == ("open", 1)


async def test_half_a_quorum_spends_nothing(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    one = await world.checkpoint(run_id, execution, required=Required(count=2))
    await world.decide(one.id, run_id, APPROVE, "ann")
    why = await world.commit(
        lambda tx: checkpoints.redeem(tx, one.id, ToolExecutionId(execution), ENVELOPE, again=False), run_id
    )
    assert why == "the approval is open"


@pytest.mark.parametrize("verdict", [APPROVE, DENY, Verdict(decision="defer"), Verdict(decision="revoke")])
async def test_whose_run_asks_decides_nothing_where_somebody_else_has_to(
    world: World, verdict: Verdict
) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id, required=Required(not_requester=True))
    requester = one.requested_by.removeprefix("prin_")
    assert await world.decide(one.id, run_id, verdict, requester) == IsRequester()
    assert await world.status(one.id) == "open"
    assert standing(await world.decide(one.id, run_id, APPROVE, "bob")) == ("approved", 1)


async def test_each_voice_needs_the_role_when_it_is_given(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id, required=Required(role="release", count=2))
    assert standing(await world.decide(one.id, run_id, APPROVE, "ann", "release")) == ("open", 1)
    assert await world.decide(one.id, run_id, APPROVE, "bob", "dev") == RoleMissing(role="release")
    assert standing(await world.decide(one.id, run_id, APPROVE, "bob", "release")) == ("approved", 2)


async def test_one_no_ends_a_quorum_that_lacks_one_voice(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id, required=Required(count=3))
    for who in ("ann", "bob"):
        await world.decide(one.id, run_id, APPROVE, who)
    assert standing(await world.decide(one.id, run_id, DENY, "cy")) == ("denied", 2)
