"""Budgets in the records: objects of a project, and accounts whose sums are exact whatever dies."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest

from protocol.budget import Account, Amount, Budget, BudgetEntry, Payer, period_key
from protocol.ids import CallId, RunId, fresh
from protocol.run import Limits
from records import budgets, run_end, spending
from records.tx import Tx
from tests.records.world import World

TEAM = BudgetEntry(max_tokens=1_000, max_cost_usd=0.5)
ANN = BudgetEntry(scope="actor", actor_id="ann", max_tokens=10)
EACH = BudgetEntry(scope="actor", max_tokens=20)
TEN = Amount(tokens=10, nanos=700, ms=60_000)
NOBODY = Payer(run_id=RunId("run_1"))


async def named(world: World, name: str) -> Budget | None:
    return await world.read(lambda c: budgets.get(c, world.tenant, name))


async def account(world: World, name: str = "team") -> Account:
    """The account of a budget as it stands, with its limits."""
    budget = await named(world, name)
    assert budget is not None
    return await world.commit(lambda tx: spending.of_budget(tx, world.tenant, budget, NOBODY))


def untimed(amount: Amount) -> Amount:
    return amount.model_copy(update={"ms": 0})


async def held(world: World, run_id: RunId, attempt: int = 1, call: str | None = None) -> CallId:
    call_id = CallId(call or fresh("call_"))
    team = await account(world)
    await world.commit(lambda tx: spending.hold(tx, run_id, call_id, attempt, [team], TEN), run_id)
    return call_id


async def test_a_budget_is_made_replaced_and_removed_by_name(world: World) -> None:
    assert await world.commit(lambda tx: budgets.put(tx, world.tenant, "team", TEAM)) is True
    first = await named(world, "team")
    assert await world.commit(lambda tx: budgets.put(tx, world.tenant, "team", EACH)) is False
    now = await named(world, "team")
    assert first is not None
    assert now == Budget(
        name="team", created_at=first.created_at, updated_at=now and now.updated_at, **EACH.model_dump()
    )
    assert await world.commit(lambda tx: budgets.remove(tx, world.tenant, "team")) is True
    assert await named(world, "team") is None
    assert await world.commit(lambda tx: budgets.remove(tx, world.tenant, "team")) is False


@pytest.mark.parametrize(
    ("actor", "names"),
    [
        (None, ["house", "team"]),
        ("ann", ["ann", "each", "house", "team"]),
        ("bob", ["each", "house", "team"]),
    ],
)
async def test_what_governs_a_call_goes_by_its_actor(
    world: World, actor: str | None, names: list[str]
) -> None:
    for name, entry in (("team", TEAM), ("ann", ANN), ("each", EACH)):
        await world.commit(lambda tx, name=name, entry=entry: budgets.put(tx, world.tenant, name, entry))
    found = await world.read(lambda c: budgets.governing(c, world.tenant, actor, {"house": TEAM}))
    assert [one.name for one in found] == names


async def test_what_an_attempt_came_to_takes_the_place_of_what_it_held(world: World) -> None:
    await world.commit(lambda tx: budgets.put(tx, world.tenant, "team", TEAM))
    run_id = await world.run()
    call_id = await held(world, run_id)
    assert (await account(world)).held == TEN
    for _ in range(2):  # a second time changes nothing
        await world.commit(lambda tx: spending.settle(tx, call_id, 1, Amount(tokens=3, nanos=200)), run_id)
        now = await account(world)
        assert (untimed(now.spent), now.held) == (Amount(tokens=3, nanos=200), Amount())
        assert now.spent.ms < TEN.ms


async def test_an_attempt_that_nobody_settles_is_charged_in_full(world: World) -> None:
    await world.commit(lambda tx: budgets.put(tx, world.tenant, "team", TEAM))
    run_id = await world.run()
    call_id = await held(world, run_id)
    await world.commit(lambda tx: spending.charge(tx, run_id), run_id)
    await held(world, run_id, attempt=2, call=call_id)
    await world.commit(lambda tx: spending.settle(tx, call_id, 2, Amount(tokens=1, nanos=1)), run_id)
    now = await account(world)
    assert (untimed(now.spent), now.held) == (Amount(tokens=11, nanos=701), Amount())
    assert TEN.ms <= now.spent.ms < 2 * TEN.ms


async def test_the_end_of_a_run_leaves_nothing_held(world: World) -> None:
    await world.commit(lambda tx: budgets.put(tx, world.tenant, "team", TEAM))
    run_id = await world.run()
    await held(world, run_id)
    over = run_end.RunOutcome(status="cancelled", stop_reason="cancelled")
    await world.commit(lambda tx: run_end.end(tx, run_id, over), run_id)
    now = await account(world)
    assert (now.spent, now.held) == (TEN, Amount())


async def test_what_each_run_has_is_its_own_and_a_call_s_is_not_counted(world: World) -> None:
    one, other = await world.several_runs(2)
    each = Budget(name="each", scope="run", max_seconds=100)
    call = Budget(name="call", scope="call", max_tokens=50)

    def unit(tx: Tx) -> None:
        mine = [spending.of_budget(tx, world.tenant, of, Payer(run_id=one)) for of in (each, call)]
        spending.hold(tx, one, CallId("call_1"), 1, mine, TEN)

    def now(tx: Tx) -> list[Account]:
        payers = Payer(run_id=one), Payer(run_id=other)
        return [spending.of_budget(tx, world.tenant, of, payer) for of in (each, call) for payer in payers]

    await world.commit(unit, one)
    accounts = await world.commit(now)
    assert [account.held.ms for account in accounts] == [TEN.ms, 0, 0, 0]
    assert [(account.max_ms, account.max_tokens) for account in accounts[1:3]] == [
        (100_000, None),
        (None, 50),
    ]


async def test_fifty_runs_at_once_never_hold_more_than_there_is(world: World) -> None:
    await world.commit(lambda tx: budgets.put(tx, world.tenant, "team", BudgetEntry(max_tokens=125)))
    budget = await named(world, "team")
    assert budget is not None
    run_ids = await world.several_runs(50)

    def take(run_id: RunId) -> Callable[[Tx], bool]:
        def unit(tx: Tx) -> bool:
            team = spending.of_budget(tx, world.tenant, budget, NOBODY)
            if team.spent.tokens + team.held.tokens + TEN.tokens > (team.max_tokens or 0):
                return False
            spending.hold(tx, run_id, CallId(fresh("call_")), 1, [team], TEN)
            return True

        return unit

    taken = await asyncio.gather(*(world.commit(take(run_id), run_id) for run_id in run_ids))
    assert taken.count(True) == 12
    assert (await account(world)).held.tokens == 120


async def test_each_day_and_each_actor_has_an_account_of_its_own(world: World) -> None:
    daily = Budget(name="daily", **EACH.model_copy(update={"period": "day"}).model_dump())

    def ids(tx: Tx) -> set[str]:
        later = tx.now + timedelta(days=1)
        return {
            spending.account_id(world.tenant, daily, actor, at)
            for actor in ("ann", "bob")
            for at in (tx.now, later)
        }

    assert len(await world.commit(ids)) == 4
    first = await world.commit(lambda tx: tx.now)
    assert period_key("day", first).startswith(period_key("month", first))


async def test_limits_that_a_run_gets_late_count_what_it_used_before(world: World) -> None:
    run_id = await world.run()
    limits = Limits(max_tokens=100, max_cost_usd=0.25)
    own = await world.commit(lambda tx: spending.of_run(tx, run_id, limits), run_id)
    assert own == Account(id=f"run:{run_id}", budget="limits", max_tokens=100, max_nanos=250_000_000)
