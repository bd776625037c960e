"""A model call that waits at a budget: what ends the wait, and that nothing else is begun meanwhile."""

from harness import loop
from harness.state import BudgetWait, RunState
from protocol.ids import CheckpointId, RunId
from protocol.inbox import CheckpointResolved, Interrupt, LimitsRaised
from protocol.run import Limits, LimitsPatch

WAIT = BudgetWait(checkpoint_id=CheckpointId("ckpt_1"), expires_at="2026-01-01T00:00:00.000Z")
STATE = RunState(run_id=RunId("run_0"), limits=Limits())
WAITING = loop.after_budget_asked(STATE, WAIT)
CALL = loop.CallModel(step=1, completes=None, incoming=())


def test_a_run_at_a_budget_waits_before_its_next_call() -> None:
    assert loop.next_step(WAITING) == loop.AwaitBudget(wait=WAIT)


def test_a_decision_lets_the_call_be_tried_anew() -> None:
    heard = loop.hear(WAITING, CheckpointResolved(checkpoint_id=WAIT.checkpoint_id))
    assert loop.next_step(heard) == CALL


def test_a_decision_that_is_heard_first_is_not_waited_for() -> None:
    early = loop.hear(STATE, CheckpointResolved(checkpoint_id=WAIT.checkpoint_id))
    assert loop.next_step(loop.after_budget_asked(early, WAIT)) == CALL


def test_raised_limits_let_the_call_be_tried_anew() -> None:
    heard = loop.hear(WAITING, LimitsRaised(limits=LimitsPatch(max_tokens=10)))
    assert loop.next_step(heard) == CALL


def test_an_interrupt_ends_the_wait() -> None:
    interrupt = Interrupt(behavior="discard")
    heard = loop.hear(WAITING, interrupt)
    assert isinstance(loop.next_step(heard), loop.TakeUp)
    assert loop.next_step(loop.after_take_up(heard, interrupt)) == CALL


def test_a_deadline_ends_the_wait_unless_it_was_moved() -> None:
    assert loop.next_step(loop.after_budget_due(WAITING, WAIT, None)) == CALL
    later = WAIT.model_copy(update={"expires_at": "2027-01-01T00:00:00.000Z"})
    assert loop.next_step(loop.after_budget_due(WAITING, WAIT, later.expires_at)) == loop.AwaitBudget(
        wait=later
    )


def test_a_run_that_asks_at_its_limits_is_not_stopped_by_the_loop() -> None:
    asking = Limits(max_tokens=5, max_cost_usd=0.1, on_exceed="ask")
    spent = STATE.model_copy(update={"limits": asking, "tokens": 5, "cost_usd": 1.0})
    assert loop.next_step(spent) == CALL
    after = loop.after_model(spent, loop.Reply(calls=(), tokens=1, cost_usd=0.0))
    assert after.ending is not None
    assert after.ending.stop_reason == "end_turn"
