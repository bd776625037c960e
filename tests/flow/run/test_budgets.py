"""Budgets as a gate: calls are paid for before they are made, and beyond it the run stops or asks."""

import asyncio
from typing import Any

import pytest

from protocol.budget import Amount, BudgetEntry, nanos
from protocol.ids import RunId, SessionId, fresh
from protocol.inbox import LimitsRaised
from protocol.run import Limits, LimitsPatch
from protocol.session import SessionRequest
from records import budgets, inbox, runs, sessions, spending
from records.spending import counted
from records.tx import Tx
from tests.stack import Event, Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

TABLES = {
    "paid": """
[providers.paid]
protocol = "scripted"
models = ["p"]
script = "script.toml"
maxOutputTokens = 100
prices = { p = { input = 1.0, output = 2.0 } }
"""
}

SCRIPT = """
[[scenarios]]
when = "^spend"
turns = [{ text = "Spent.", usage = { input = 10, output = 40 } }]

[[scenarios]]
when = "^twice"
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }]
usage = { input = 50, output = 50 }
[[scenarios.turns]]
text = "Done."
usage = { input = 50, output = 50 }

[[scenarios]]
when = "^slow"
delta_chars = 1
delta_delay_ms = 50
turns = [{ text = "a long answer that takes its time", usage = { input = 10, output = 40 } }]

[[scenarios]]
when = "^forever"
loop = true
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }, { name = "count_read_only" }]
usage = { input = 600, output = 400 }
"""

READ = {"kind": "tool", "name": "count_read_only"}


async def budget(stack: Stack, actor: str, **entry: Any) -> str:
    """The account of a new budget of one actor."""
    of_actor = BudgetEntry(scope="actor", actor_id=actor, **entry)

    def unit(tx: Tx) -> str:
        budgets.put(tx, stack.tenant, actor, of_actor)
        made = budgets.get(tx.connection, stack.tenant, actor)
        assert made is not None
        return spending.account_id(stack.tenant, made, actor, tx.now)

    return await stack.writer.commit(unit)


async def acting(stack: Stack, actor: str) -> SessionId:
    session = SessionId(fresh("sess_"))
    request = SessionRequest(actor_id=actor)
    await stack.writer.commit(lambda tx: sessions.create(tx, stack.tenant, session, request))
    return session


async def run_of(stack: Stack, actor: str, text: str, **fields: Any) -> RunId:
    fields = {"model": "p", "capabilities": [READ]} | fields
    return await stack.create(text, session=await acting(stack, actor), **fields)


def untimed(amount: Amount) -> Amount:
    return amount.model_copy(update={"ms": 0})


def ending(told: list[Event]) -> tuple[str, str]:
    return told[-1]["type"], told[-1]["stop_reason"]


@pytest.mark.parametrize(
    ("actor", "limit"), [("tokens", {"max_tokens": 1_100}), ("dollars", {"max_cost_usd": 0.002})]
)
async def test_fifty_runs_at_once_never_spend_more_than_the_budget(
    stack: Stack, actor: str, limit: dict[str, Any]
) -> None:
    account = await budget(stack, actor, **limit)
    made = await asyncio.gather(*(run_of(stack, actor, "spend") for _ in range(50)))
    endings = [ending(await stack.ended(run)) for run in made]
    stopped = ("run.completed", "max_tokens" if actor == "tokens" else "max_cost")
    assert set(endings) == {("run.completed", "end_turn"), stopped}
    now = await stack.read(lambda c: counted(c, account))
    done = endings.count(("run.completed", "end_turn"))
    assert untimed(now.spent) == Amount(tokens=50 * done, nanos=90_000 * done)
    assert now.held == Amount()
    assert now.spent.tokens <= limit.get("max_tokens", 10**9)
    assert now.spent.nanos <= nanos(limit.get("max_cost_usd", 10**6))
    assert done >= 15


async def test_a_run_goes_on_by_what_somebody_granted_and_not_further(stack: Stack) -> None:
    account = await budget(stack, "ann", max_tokens=250, on_exceed="ask")
    run = await run_of(stack, "ann", "twice", limits={"max_turns": 3})
    checkpoint = await stack.checkpoint(run)
    await stack.waits_for(checkpoint)
    assert (checkpoint.kind, checkpoint.rule) == ("budget", "budget.ann")
    assert "tokens: 100 of 250 spent" in checkpoint.rendered
    await stack.decide(checkpoint, "approve")
    told = await stack.ended(run)
    assert ending(told) == ("run.completed", "end_turn")
    assert of_type(told, "checkpoint.redeemed")[0]["checkpoint_id"] == checkpoint.id
    assert len(of_type(told, "run.resumed")) == 1
    assert (await stack.read(lambda c: counted(c, account))).spent.tokens == 100
    raised = await stack.read(lambda c: counted(c, f"raise:{checkpoint.id}"))
    assert raised.spent.tokens == 100


async def test_a_denied_budget_ends_the_run_with_its_reason(stack: Stack) -> None:
    await budget(stack, "bob", max_cost_usd=0.0003, on_exceed="ask")
    run = await run_of(stack, "bob", "twice")
    await stack.decide(await stack.checkpoint(run), "deny")
    told = await stack.ended(run)
    assert ending(told) == ("run.completed", "max_cost")
    assert len(of_type(told, "call.started")) == 1


async def test_a_run_that_waits_at_its_own_limit_goes_on_under_raised_limits(stack: Stack) -> None:
    run = await stack.create(
        "twice", model="p", capabilities=[READ], limits={"max_tokens": 250, "on_exceed": "ask"}
    )
    await stack.waits_for(await stack.checkpoint(run))
    raised = LimitsPatch(max_tokens=1_000)

    def resume(tx: Tx) -> None:
        runs.set_limits(tx, run, Limits(max_tokens=1_000, on_exceed="ask"))
        inbox.say(tx, run, LimitsRaised(limits=raised))

    await stack.commit(run, resume)
    await stack.wake(run)
    told = await stack.ended(run)
    assert ending(told) == ("run.completed", "end_turn")
    assert len(of_type(told, "checkpoint.cancelled")) == 1


async def test_agreeing_at_a_run_s_own_limit_raises_the_limit(stack: Stack) -> None:
    run = await stack.create(
        "twice", model="p", capabilities=[READ], limits={"max_tokens": 250, "on_exceed": "ask"}
    )
    checkpoint = await stack.checkpoint(run)
    await stack.decide(checkpoint, "approve")
    assert ending(await stack.ended(run)) == ("run.completed", "end_turn")
    asked = (checkpoint.arguments or {})["tokens"]
    assert isinstance(asked, int)
    assert (await stack.record(run)).run.limits.max_tokens == 250 + asked


async def test_a_call_that_died_with_its_worker_is_charged_and_its_successor_settled(stack: Stack) -> None:
    account = await budget(stack, "cleo", max_tokens=1_000)
    run = await run_of(stack, "cleo", "slow")
    await stack.told(run, "response.delta")
    held = (await stack.read(lambda c: counted(c, account))).held
    assert held.tokens > 100
    stack.workers[-1].kill()
    await stack.start_worker()
    told = await stack.ended(run)
    assert ending(told) == ("run.completed", "end_turn")
    assert [event["attempt"] for event in of_type(told, "call.started")] == [1, 2]
    now = await stack.read(lambda c: counted(c, account))
    assert untimed(now.spent) == Amount(tokens=held.tokens + 50, nanos=held.nanos + 90_000)
    assert now.spent.ms >= held.ms
    assert now.held == Amount()


async def test_a_call_is_cut_off_where_its_time_is_over_and_the_next_is_not_made(stack: Stack) -> None:
    account = await budget(stack, "tim", max_seconds=1)
    told = await stack.ended(await run_of(stack, "tim", "slow"))
    assert (told[-1]["type"], told[-1]["error"]["code"]) == ("run.failed", "quota.time_used")
    assert of_type(told, "response.delta")
    now = await stack.read(lambda c: counted(c, account))
    assert (now.spent.ms, now.held.ms) == (1_000, 0)
    told = await stack.ended(await run_of(stack, "tim", "spend"))
    assert ending(told) == ("run.timed_out", "timeout")
    assert of_type(told, "call.started") == []


async def test_time_that_somebody_grants_lets_the_run_go_on(stack: Stack) -> None:
    account = await budget(stack, "uma", max_seconds=1, on_exceed="ask")
    await stack.ended(await run_of(stack, "uma", "slow"))
    run = await run_of(stack, "uma", "spend")
    checkpoint = await stack.checkpoint(run)
    assert "seconds: 1.0 of 1.0 spent, 600.0 asked for" in checkpoint.rendered
    await stack.decide(checkpoint, "approve")
    assert ending(await stack.ended(run)) == ("run.completed", "end_turn")
    assert (await stack.read(lambda c: counted(c, account))).spent.ms == 1_000


async def test_each_run_and_each_call_has_its_own(stack: Stack) -> None:
    """Both for the whole project, so they are taken away again."""
    each = BudgetEntry(scope="run", max_tokens=250)
    try:
        await stack.writer.commit(lambda tx: budgets.put(tx, stack.tenant, "each-run", each))
        for _ in range(2):
            told = await stack.ended(await stack.create("twice", model="p", capabilities=[READ]))
            assert ending(told) == ("run.completed", "max_tokens")
            assert len(of_type(told, "call.completed")) == 1
        call = BudgetEntry(scope="call", max_cost_usd=0.0001)
        await stack.writer.commit(lambda tx: budgets.put(tx, stack.tenant, "each-run", call))
        told = await stack.ended(await stack.create("spend", model="p", capabilities=[READ]))
        assert ending(told) == ("run.completed", "max_cost")
        assert of_type(told, "call.started") == []
    finally:
        await stack.writer.commit(lambda tx: budgets.remove(tx, stack.tenant, "each-run"))


async def test_a_model_without_a_price_is_not_called_under_a_budget_in_dollars(stack: Stack) -> None:
    await budget(stack, "dan", max_cost_usd=1.0)
    told = await stack.ended(await run_of(stack, "dan", "spend", model="m"))
    assert (told[-1]["type"], told[-1]["error"]["code"]) == ("run.failed", "model.unpriced")
    assert of_type(told, "call.started") == []


@pytest.mark.parametrize(
    ("limits", "reason", "turns"),
    [
        ({"max_turns": 3}, "max_turns", 3),
        ({"max_tool_calls": 5}, "max_tool_calls", 3),
        ({"max_tokens": 2_500}, "max_tokens", 3),
        ({"max_cost_usd": 0.0035}, "max_cost", 3),
    ],
)
async def test_an_endless_loop_of_tools_is_stopped_within_one_step_of_a_budget(
    stack: Stack, limits: dict[str, Any], reason: str, turns: int
) -> None:
    """INJ-07."""
    run = await stack.create("forever", model="p", capabilities=[READ], limits=limits)
    told = await stack.ended(run)
    assert ending(told) == ("run.completed", reason)
    assert len(of_type(told, "call.completed")) <= turns


async def test_an_endless_loop_of_tools_is_stopped_by_the_clock(stack: Stack) -> None:
    """INJ-07."""
    off = {"max_turns": 0, "max_tool_calls": 0, "timeout_ms": 1_500}
    told = await stack.ended(await stack.create("forever", model="p", capabilities=[READ], limits=off))
    assert ending(told) == ("run.timed_out", "timeout")
