"""Approve against deny, expiry and cancel: the database's order says who wins, and a loser has no effect."""

import asyncio
from functools import partial

import pytest

from protocol.ids import ToolExecutionId
from records import checkpoints, decisions
from records.database import Database
from records.decisions import Decided, Verdict
from records.hints import Hints
from records.writer import Writer
from tests.records.world import APPROVE, ENVELOPE, World

DENY = Verdict(decision="deny", reason="no")
ENDS = {
    "approved": ["checkpoint.decided"],
    "denied": ["checkpoint.decided"],
    "expired": ["checkpoint.expired"],
    "cancelled": ["checkpoint.cancelled"],
    "revoked": ["checkpoint.decided", "checkpoint.revoked"],
}


@pytest.mark.parametrize("races", [100, pytest.param(1_000, marks=pytest.mark.slow)])
async def test_a_losing_approval_is_never_spent(
    world: World, database: Database, hints: Hints, races: int
) -> None:
    """APR-05."""
    other = Writer(database, hints)
    writers = (world.writer, other)
    run_id = await world.run()
    wins: dict[str, int] = {}
    seen = len(await world.log(run_id))
    for number in range(races):
        execution = await world.tool(run_id, ordinal=number)
        due = 0 if number % 3 == 1 else 60_000
        one = await world.checkpoint(run_id, execution, expires_in_ms=due)
        approve = partial(decisions.decide, caller=world.caller(), checkpoint_id=one.id, verdict=APPROVE)
        deny = partial(decisions.decide, caller=world.caller("bob"), checkpoint_id=one.id, verdict=DENY)
        expire = partial(checkpoints.expire, checkpoint_id=one.id)
        cancel = partial(checkpoints.cancel_open, run_id=run_id)
        units = [approve, deny, expire, *([cancel] if number % 4 == 3 else [])]
        shift = number % len(units)
        units = units[shift:] + units[:shift]
        done = await asyncio.gather(
            *(writers[n % 2].commit(unit, runs=[run_id]) for n, unit in enumerate(units))
        )
        ended = await world.status(one.id)
        wins[ended] = wins.get(ended, 0) + 1
        agreed = isinstance(done[units.index(approve)], Decided)
        assert agreed == (ended in ("approved", "revoked"))
        spend = partial(
            checkpoints.redeem,
            checkpoint_id=one.id,
            execution=ToolExecutionId(execution),
            envelope_digest=ENVELOPE,
            again=False,
        )
        spent = await asyncio.gather(*(writer.commit(spend, runs=[run_id]) for writer in writers))
        assert spent.count(None) == (1 if ended == "approved" else 0)
        told = [event["type"] for event in await world.log(run_id, after=seen)]
        seen += len(told)
        redeemed = ["checkpoint.redeemed"] if ended == "approved" else []
        assert told == ["tool_execution.requested", "checkpoint.opened", *ENDS[ended], *redeemed]
    assert set(wins) == set(ENDS)
    other.close()


async def test_of_a_hundred_approvals_and_a_hundred_spendings_one_counts(
    world: World, database: Database, hints: Hints
) -> None:
    """APR-04."""
    other = Writer(database, hints)
    writers = (world.writer, other)
    run_id = await world.run()
    execution = await world.tool(run_id)
    one = await world.checkpoint(run_id, execution)

    async def approve(number: int) -> object:
        caller = world.caller(f"p{number % 10}")
        return await writers[number % 2].commit(
            lambda tx: decisions.decide(tx, caller, one.id, APPROVE), runs=[run_id]
        )

    async def spend(number: int) -> str | None:
        return await writers[number % 2].commit(
            lambda tx: checkpoints.redeem(tx, one.id, execution, ENVELOPE, again=False), runs=[run_id]
        )

    assert all(isinstance(done, Decided) for done in await asyncio.gather(*map(approve, range(100))))
    spent = await asyncio.gather(*map(spend, range(100)))
    assert (spent.count(None), spent.count("the approval is redeemed")) == (1, 99)
    types = await world.types(run_id)
    assert (types.count("checkpoint.decided"), types.count("checkpoint.redeemed")) == (1, 1)
    other.close()
