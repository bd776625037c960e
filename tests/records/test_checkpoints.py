"""Checkpoints and what people say to them: each decided once, by the database's clock."""

import asyncio
from datetime import timedelta
from functools import partial

import pytest

from protocol.checkpoint import Required
from protocol.ids import CheckpointId
from protocol.inbox import CheckpointResolved
from protocol.noun import rfc3339
from records import checkpoints, decisions, inbox
from records.database import Database
from records.decisions import (
    Closed,
    Decided,
    DigestMismatch,
    Expired,
    NoSuchCheckpoint,
    RoleMissing,
    Verdict,
    WrongVerb,
)
from records.hints import Hints
from records.paging import PageRequest
from records.run_end import RunOutcome, end
from records.writer import Writer
from tests.records.world import APPROVE, ENVELOPE, World, gapless

DENY = Verdict(decision="deny", reason="no")
CANCELLED = RunOutcome(status="cancelled", stop_reason="cancelled")


async def test_a_checkpoint_is_opened_once_and_told_once(world: World) -> None:
    run_id = await world.run()
    execution = await world.tool(run_id)
    one = await world.checkpoint(run_id, execution)
    new = checkpoints.NewCheckpoint(
        id=one.id, tenant=world.tenant, run_id=run_id, session_id=world.session_id, kind="approval",
        rendered="other", requested_by="x", expires_in_ms=1,
    )  # fmt: skip
    again = await world.commit(lambda tx: checkpoints.open_checkpoint(tx, new), run_id)
    assert again == one
    assert one.expires_at - one.created_at == timedelta(minutes=1)
    event = (await world.log(run_id))[-1]
    assert (event["type"], event["checkpoint_id"], event["envelope_digest"], event["expires_at"]) == (
        "checkpoint.opened", one.id, ENVELOPE, rfc3339(one.expires_at),
    )  # fmt: skip


async def test_an_approval_is_recorded_with_who_when_and_what_was_shown(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id)
    decided = await world.decide(one.id, run_id, APPROVE)
    assert isinstance(decided, Decided)
    approved = decided.checkpoint
    assert (approved.status, approved.resolved_at) == ("approved", approved.decisions[0].at)
    made = approved.decisions[0]
    assert (made.decision, made.by, made.by_name, made.auth_method) == (
        "approve",
        "prin_ann",
        "ann",
        "api_key",
    )
    assert (made.envelope_digest, made.reason) == (ENVELOPE, "fine")
    assert made.rendered_digest.startswith("sha256:")
    heard = await world.read(lambda connection: inbox.take(connection, run_id, 0))
    assert [item.message for item in heard] == [CheckpointResolved(checkpoint_id=one.id)]
    assert (await world.types(run_id))[-1] == "checkpoint.decided"


async def test_the_same_decision_again_is_accepted_and_another_one_is_not(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id)
    first = await world.decide(one.id, run_id, APPROVE)
    assert await world.decide(one.id, run_id, APPROVE) == first
    assert await world.decide(one.id, run_id, APPROVE, "bob") == first
    assert isinstance(await world.decide(one.id, run_id, DENY), Closed)
    assert (await world.types(run_id)).count("checkpoint.decided") == 1
    assert len(await world.read(lambda connection: inbox.take(connection, run_id, 0))) == 1


async def test_an_approval_of_something_else_is_refused(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id)
    for wrong in (None, ENVELOPE[:-1] + "0"):
        verdict = APPROVE.model_copy(update={"envelope_digest": wrong})
        assert isinstance(await world.decide(one.id, run_id, verdict), DigestMismatch)
    assert await world.status(one.id) == "open"


async def test_a_foreign_checkpoint_is_not_there(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id)
    caller = world.caller().model_copy(
        update={"tenant": world.tenant.model_copy(update={"project_id": "proj_other"})}
    )
    outcome = await world.commit(lambda tx: decisions.decide(tx, caller, one.id, APPROVE), run_id)
    assert outcome == NoSuchCheckpoint()
    assert await world.read(lambda connection: checkpoints.get(connection, caller.tenant, one.id)) is None


async def test_where_a_role_is_asked_for_others_cannot_decide(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id, required=Required(role="release"))
    assert await world.decide(one.id, run_id, APPROVE, "ann", "dev") == RoleMissing(role="release")
    assert isinstance(await world.decide(one.id, run_id, APPROVE, "ann", "release"), Decided)


async def test_a_quorum_counts_principals_and_one_no_ends_it(world: World) -> None:
    run_id = await world.run()
    two = await world.checkpoint(run_id, required=Required(count=2))
    for _ in range(2):
        half = await world.decide(two.id, run_id, APPROVE, "ann")
        assert isinstance(half, Decided)
        assert (half.checkpoint.status, len(half.checkpoint.decisions)) == ("open", 1)
    full = await world.decide(two.id, run_id, APPROVE, "bob")
    assert isinstance(full, Decided)
    assert full.checkpoint.status == "approved"
    other = await world.checkpoint(run_id, required=Required(count=2))
    await world.decide(other.id, run_id, APPROVE, "ann")
    await world.decide(other.id, run_id, DENY, "bob")
    assert await world.status(other.id) == "denied"


async def test_only_the_deadline_expires_a_checkpoint_and_late_answers_are_told_so(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id)
    assert not await world.commit(lambda tx: checkpoints.expire(tx, one.id), run_id)
    await world.overdue(one.id)
    assert isinstance(await world.decide(one.id, run_id, APPROVE), Expired)
    assert [due.id for due in await world.read(checkpoints.due)] == [one.id]
    assert await world.commit(lambda tx: checkpoints.expire(tx, one.id), run_id)
    assert not await world.commit(lambda tx: checkpoints.expire(tx, one.id), run_id)
    assert isinstance(await world.decide(one.id, run_id, DENY), Expired)
    assert (await world.types(run_id))[-1] == "checkpoint.expired"
    assert len(await world.read(lambda connection: inbox.take(connection, run_id, 0))) == 1


async def test_a_deferred_checkpoint_stays_open_for_longer(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id, expires_in_ms=1_000)
    later = await world.decide(one.id, run_id, Verdict(decision="defer", expires_in_s=3_600))
    assert isinstance(later, Decided)
    assert later.checkpoint.status == "open"
    assert later.checkpoint.expires_at - one.created_at > timedelta(minutes=59)
    assert (await world.types(run_id))[-1] == "checkpoint.deferred"
    told = await world.read(lambda connection: inbox.take(connection, run_id, 0))
    assert [item.message for item in told] == [CheckpointResolved(checkpoint_id=one.id)]
    assert isinstance(await world.decide(one.id, run_id, APPROVE), Decided)


async def test_an_approval_can_be_taken_back_until_it_is_spent(world: World) -> None:
    run_id = await world.run()
    revoke = Verdict(decision="revoke")
    one = await world.checkpoint(run_id)
    assert isinstance(await world.decide(one.id, run_id, revoke), Closed)
    await world.decide(one.id, run_id, APPROVE)
    assert isinstance(await world.decide(one.id, run_id, revoke), Decided)
    assert isinstance(await world.decide(one.id, run_id, revoke), Decided)
    assert await world.status(one.id) == "revoked"
    assert isinstance(await world.decide(one.id, run_id, APPROVE), Closed)
    spent = await world.checkpoint(run_id)
    await world.decide(spent.id, run_id, APPROVE)
    await world.commit(lambda tx: checkpoints.move(tx, spent, "approved", "redeemed"), run_id)
    assert isinstance(await world.decide(spent.id, run_id, revoke), Closed)


@pytest.mark.parametrize("kind", ["question", "outcome_unknown"])
async def test_a_question_is_answered_and_not_approved(world: World, kind: str) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id, kind=kind)  # pyright: ignore[reportArgumentType]
    assert isinstance(await world.decide(one.id, run_id, Verdict(decision="approve")), WrongVerb)
    retry = Verdict(decision="answer", answer={"resolution": "retry"})
    answered = await world.decide(one.id, run_id, retry)
    assert isinstance(answered, Decided)
    assert (answered.checkpoint.status, answered.checkpoint.decisions[0].answer) == (
        "answered",
        {"resolution": "retry"},
    )
    assert await world.decide(one.id, run_id, retry) == answered
    other = Verdict(decision="answer", answer={"resolution": "failed"})
    assert isinstance(await world.decide(one.id, run_id, other), Closed)


async def test_the_queue_is_filtered_by_status_kind_and_run(world: World) -> None:
    one, other = await world.several_runs(2)
    approval = await world.checkpoint(one)
    question = await world.checkpoint(other, kind="question")
    await world.decide(approval.id, one, DENY)

    async def queue(**chosen: object) -> list[CheckpointId]:
        page = await world.read(
            lambda c: checkpoints.list_checkpoints(c, world.tenant, PageRequest(), **chosen)  # pyright: ignore
        )
        return [found.id for found in page.items]

    assert await queue() == [question.id, approval.id]
    assert await queue(status="open") == [question.id]
    assert await queue(kind="approval") == [approval.id]
    assert await queue(run_id=other) == [question.id]


async def test_of_approve_expire_and_cancel_at_once_exactly_one_wins(
    world: World, database: Database, hints: Hints
) -> None:
    """Two processes' writers; the loser changes nothing."""
    wins: set[str] = set()
    other = Writer(database, hints)
    run_id = await world.run()
    seen = 2
    for number in range(60):
        one = await world.checkpoint(run_id, expires_in_ms=0 if number % 2 else 60_000)
        ann = world.caller()
        approve = partial(decisions.decide, caller=ann, checkpoint_id=one.id, verdict=APPROVE)
        expire = partial(checkpoints.expire, checkpoint_id=one.id)
        cancel = partial(checkpoints.cancel_open, run_id=run_id)
        units = [approve, expire, cancel, expire, approve]
        units = units[number % 5 :] + units[: number % 5]
        writers = (world.writer, other)
        await asyncio.gather(*(writers[n % 2].commit(unit, runs=[run_id]) for n, unit in enumerate(units)))
        ended = await world.status(one.id)
        wins.add(ended)
        told = await world.log(run_id, after=seen + 1)
        seen += 1 + len(told)
        ends = [event["type"] for event in told]
        assert (
            ends
            in (
                {
                    "revoked": [["checkpoint.decided", "checkpoint.revoked"]],
                    "expired": [["checkpoint.expired"]],
                    "cancelled": [["checkpoint.cancelled"]],
                }[ended]
            )
        )
    assert gapless(await world.log(run_id))
    assert wins == {"revoked", "expired", "cancelled"}
    other.close()


async def test_an_ended_run_has_no_open_checkpoint_and_opens_none(world: World) -> None:
    run_id = await world.run()
    one = await world.checkpoint(run_id)
    await world.commit(lambda tx: end(tx, run_id, CANCELLED), run_id)
    assert isinstance(await world.decide(one.id, run_id, APPROVE), Closed)
    new = checkpoints.NewCheckpoint(
        id=CheckpointId("ckpt_late"), tenant=world.tenant, run_id=run_id, session_id=world.session_id,
        kind="question", rendered="?", requested_by="x", expires_in_ms=1,
    )  # fmt: skip
    assert await world.commit(lambda tx: checkpoints.open_checkpoint(tx, new), run_id) is None
