"""The native loop: what comes next, and why a run stops."""

import pytest

from harness import loop
from harness.state import Ending, PendingCall, RunState
from protocol.ids import CheckpointId, RunId, ToolExecutionId
from protocol.inbox import (
    Cancel,
    CheckpointResolved,
    Interrupt,
    LimitsRaised,
    Sent,
    SubrunEnded,
    SubrunWaits,
)
from protocol.run import Limits, LimitsPatch

RUN = RunId("run_0")


def state(**changes: object) -> RunState:
    return RunState(run_id=RUN, limits=Limits()).model_copy(update=changes)


def call(name: str = "tool_1", **changes: object) -> PendingCall:
    made = PendingCall(tool_execution_id=ToolExecutionId(name), source="target", effect="workspace")
    return made.model_copy(update=changes)


def reply(*calls: PendingCall, tokens: int = 10, cost: float = 0.0) -> loop.Reply:
    return loop.Reply(calls=calls, tokens=tokens, cost_usd=cost)


def test_a_new_run_calls_the_model() -> None:
    assert loop.next_step(state()) == loop.CallModel(step=1, completes=None, incoming=())


def test_a_run_with_a_target_gets_its_box_first() -> None:
    assert loop.next_step(state(has_target=True)) == loop.Materialize()
    placed = state(has_target=True, queue="host-1")
    assert isinstance(loop.next_step(placed), loop.CallModel)


def test_a_turn_without_calls_ends_the_run() -> None:
    after = loop.after_model(state(), reply())
    assert loop.next_step(after) == loop.Finish(ending=Ending(status="completed", stop_reason="end_turn"))


@pytest.mark.parametrize(
    ("finish", "reason"), [("cut", "max_tokens"), ("refused", "safety_blocked"), ("end", "end_turn")]
)
def test_the_way_a_model_finishes_is_the_stop_reason(finish: str, reason: str) -> None:
    said = reply().model_copy(update={"finish": finish})
    after = loop.after_model(state(), said)
    assert after.ending == Ending(status="completed", stop_reason=reason)


def test_calls_are_run_and_then_the_step_is_completed_by_the_next_turn() -> None:
    after = loop.after_model(state(), reply(call(effect="read_only")))
    assert loop.next_step(after) == loop.RunTools(calls=(call(effect="read_only"),), parallel=False)
    done = loop.after_tool(after, loop.Settled(tool_execution_id=ToolExecutionId("tool_1")))
    assert loop.next_step(done) == loop.CallModel(step=2, completes=1, incoming=())


def test_a_step_that_wrote_saves_its_tree_before_the_next_turn() -> None:
    after = loop.after_model(state(has_target=True, queue="host-1"), reply(call()))
    done = loop.after_tool(after, loop.Settled(tool_execution_id=ToolExecutionId("tool_1"), wrote=True))
    assert loop.next_step(done) == loop.SaveTree(step=1)
    assert loop.next_step(loop.after_tree(done)) == loop.CallModel(step=2, completes=None, incoming=())


def test_where_there_is_no_box_there_is_no_tree_to_save() -> None:
    after = loop.after_model(state(), reply(call(source="native")))
    done = loop.after_tool(after, loop.Settled(tool_execution_id=ToolExecutionId("tool_1"), wrote=True))
    assert loop.next_step(done) == loop.CallModel(step=2, completes=1, incoming=())


def test_two_calls_run_side_by_side_unless_the_limits_say_no() -> None:
    two = (call("tool_1"), call("tool_2"))
    after = loop.after_model(state(), reply(*two))
    assert loop.next_step(after) == loop.RunTools(calls=two, parallel=True)
    alone = after.model_copy(update={"limits": Limits(parallel_tools=False)})
    assert loop.next_step(alone) == loop.RunTools(calls=two, parallel=False)


@pytest.mark.parametrize(
    ("limits", "turn", "reason"),
    [
        (Limits(max_tokens=5), reply(call(), tokens=6), "max_tokens"),
        (Limits(max_tokens=5), reply(tokens=6), "max_tokens"),
        (Limits(max_cost_usd=0.1), reply(call(), cost=0.2), "max_cost"),
        (Limits(max_tool_calls=1), reply(call("tool_1"), call("tool_2")), "max_tool_calls"),
    ],
)
def test_a_passed_budget_stops_the_run_and_executes_nothing(
    limits: Limits, turn: loop.Reply, reason: str
) -> None:
    after = loop.after_model(state(limits=limits), turn)
    assert after.calls == ()
    assert after.ending is not None
    assert (after.ending.status, after.ending.stop_reason) == ("completed", reason)


@pytest.mark.parametrize(
    ("spent", "reason"),
    [
        ({"step": 2, "limits": Limits(max_turns=2)}, "max_turns"),
        ({"tokens": 5, "limits": Limits(max_tokens=5)}, "max_tokens"),
        ({"cost_usd": 1.0, "limits": Limits(max_cost_usd=1.0)}, "max_cost"),
    ],
)
def test_a_spent_budget_forbids_another_turn(spent: dict[str, object], reason: str) -> None:
    step = loop.next_step(state(**spent))
    assert isinstance(step, loop.Finish)
    assert step.ending.stop_reason == reason


def test_zero_is_off() -> None:
    off = Limits(max_turns=0, max_tokens=0, max_tool_calls=0, max_cost_usd=0)
    after = loop.after_model(state(limits=off, step=10_000), reply(call(), tokens=10**6))
    assert after.ending is None


def test_a_waiting_call_is_taken_up_when_its_checkpoint_is_resolved() -> None:
    after = loop.after_model(state(), reply(call()))
    asked = loop.Asked(
        tool_execution_id=ToolExecutionId("tool_1"), checkpoint_id="ckpt_1", expires_at="2026-01-01T00:00:00Z"
    )
    waiting = loop.after_tool(after, asked)
    assert loop.waiting_for(waiting, parallel=True) == ("ckpt_1",)
    other = loop.hear(waiting, CheckpointResolved(checkpoint_id=CheckpointId("ckpt_2")))
    assert other.calls == waiting.calls
    heard = loop.hear(waiting, CheckpointResolved(checkpoint_id=CheckpointId("ckpt_1")))
    assert [one.phase for one in heard.calls] == ["answered"]
    assert loop.waiting_for(heard, parallel=True) == ()


def test_an_answer_that_is_heard_before_the_question_is_not_lost() -> None:
    after = loop.after_model(state(), reply(call()))
    heard = loop.hear(after, CheckpointResolved(checkpoint_id=CheckpointId("ckpt_1")))
    asked = loop.Asked(
        tool_execution_id=ToolExecutionId("tool_1"), checkpoint_id="ckpt_1", expires_at="2026-01-01T00:00:00Z"
    )
    taken_up = loop.after_tool(heard, asked)
    assert [one.phase for one in taken_up.calls] == ["answered"]
    assert taken_up.answers == ()


def test_a_run_waits_only_when_nothing_else_can_be_done() -> None:
    one = call("tool_1", phase="waiting", checkpoint_id="ckpt_1")
    done = call("tool_2", phase="done")
    assert loop.waiting_for(state(calls=(one, call("tool_2"))), parallel=True) == ()
    assert loop.waiting_for(state(calls=(one, done)), parallel=True) == ("ckpt_1",)
    assert loop.waiting_for(state(calls=(one, call("tool_2"))), parallel=False) == ("ckpt_1",)
    assert loop.waiting_for(state(calls=(call("tool_2"), one)), parallel=False) == ()


def test_a_lost_box_runs_the_open_steps_workspace_calls_anew() -> None:
    calls = (
        call("tool_1", phase="done"),
        call("tool_2", effect="read_only", phase="done"),
        call("tool_3", phase="waiting", checkpoint_id="ckpt_1"),
    )
    lost = loop.after_target_lost(state(has_target=True, queue="host-1", calls=calls))
    assert lost.queue is None
    assert [one.phase for one in lost.calls] == ["ready", "done", "waiting"]


def test_cancel_ends_the_run_and_the_first_ending_stands() -> None:
    cancelled = loop.hear(state(), Cancel())
    assert loop.timed_out(cancelled).ending == Ending(status="cancelled", stop_reason="cancelled")


def test_an_interrupt_is_taken_up_before_anything_else_goes_on() -> None:
    interrupt = Interrupt(behavior="save_partial", block_id="blk_1")
    after = loop.hear(loop.after_model(state(), reply(call())), interrupt)
    assert loop.next_step(after) == loop.TakeUp(interrupt=interrupt)
    taken = loop.after_take_up(after, interrupt)
    assert loop.next_step(taken) == loop.CallModel(step=2, completes=None, incoming=())


def test_a_second_interrupt_counts_and_the_words_of_the_first_are_kept() -> None:
    first = loop.hear(state(), Interrupt(behavior="discard", block_id="blk_1"))
    second = Interrupt(behavior="save_marked", block_id="blk_2")
    both = loop.hear(first, second)
    assert (both.interrupt, both.incoming) == (second, ("blk_1",))


def test_an_interrupt_that_is_heard_while_another_is_taken_up_is_taken_up_next() -> None:
    first = Interrupt(behavior="discard", block_id="blk_1")
    second = Interrupt(behavior="discard", block_id="blk_2")
    after = loop.after_take_up(loop.hear(loop.hear(state(), first), second), first)
    assert loop.next_step(after) == loop.TakeUp(interrupt=second)


def test_what_an_interrupted_step_wrote_is_saved_before_the_next_turn() -> None:
    working = loop.after_model(state(has_target=True, queue="host-1"), reply(call()))
    interrupt = Interrupt(behavior="discard")
    after = loop.after_take_up(loop.hear(working, interrupt), interrupt)
    assert loop.next_step(after) == loop.SaveTree(step=1)
    assert loop.next_step(loop.after_tree(after)) == loop.CallModel(step=2, completes=None, incoming=())


def test_what_is_sent_enters_with_the_next_turn() -> None:
    sent = loop.hear(loop.hear(state(), Sent(block_id="blk_1")), Sent(block_id="blk_2"))
    assert loop.next_step(sent) == loop.CallModel(step=1, completes=None, incoming=("blk_1", "blk_2"))


def test_a_run_does_not_end_before_it_has_seen_what_was_sent() -> None:
    after = loop.after_model(state(incoming=("blk_1",)), reply())
    assert after.ending is None
    assert loop.next_step(after) == loop.CallModel(step=2, completes=1, incoming=("blk_1",))


def test_raised_limits_leave_the_others_as_they_were() -> None:
    raised = loop.hear(state(), LimitsRaised(limits=LimitsPatch(max_turns=99)))
    assert raised.limits == Limits(max_turns=99)


CHILD = RunId("run_1")
ASKED = CheckpointId("ckpt_below")


def spawned(started: bool = True) -> RunState:
    """A run whose one call made a subrun."""
    made = loop.Spawned(tool_execution_id=ToolExecutionId("tool_1"), child_run_id=CHILD)
    after = loop.after_tool(loop.after_model(state(), reply(call(source="native"))), made)
    return loop.after_start(after, ToolExecutionId("tool_1")) if started else after


def phases(now: RunState) -> list[str]:
    return [one.phase for one in now.calls]


def test_a_call_that_spawned_is_taken_up_when_its_subrun_has_ended() -> None:
    assert (phases(spawned(started=False)), phases(spawned())) == (["spawned"], ["delegated"])
    assert (loop.subruns(spawned()), loop.rests(spawned())) == ((CHILD,), True)
    after = loop.hear(spawned(), SubrunEnded(child_run_id=CHILD))
    assert (phases(after), loop.subruns(after), loop.rests(after)) == (["ready"], (), False)
    settled = loop.after_tool(after, loop.Settled(tool_execution_id=ToolExecutionId("tool_1")))
    assert loop.next_step(settled) == loop.CallModel(step=2, completes=1, incoming=())


def test_a_subrun_that_ends_before_its_story_is_known_to_have_begun_is_not_waited_for() -> None:
    ended = loop.hear(spawned(started=False), SubrunEnded(child_run_id=CHILD))
    assert phases(loop.after_start(ended, ToolExecutionId("tool_1"))) == ["ready"]


def test_an_end_that_is_heard_before_the_call_is_known_to_spawn_is_not_lost() -> None:
    before = loop.hear(loop.after_model(state(), reply(call())), SubrunEnded(child_run_id=CHILD))
    made = loop.Spawned(tool_execution_id=ToolExecutionId("tool_1"), child_run_id=CHILD)
    assert phases(loop.after_tool(before, made)) == ["ready"]


def test_a_run_waits_for_what_its_subruns_wait_for_where_nothing_else_can_be_done() -> None:
    waiting = loop.hear(spawned(), SubrunWaits(child_run_id=CHILD, checkpoint_ids=(ASKED,)))
    assert loop.waiting_for(waiting, parallel=True) == (ASKED,)
    own = call("tool_2", phase="waiting", checkpoint_id="ckpt_own")
    both = waiting.model_copy(update={"calls": (*waiting.calls, own)})
    assert loop.waiting_for(both, parallel=True) == (ASKED, "ckpt_own")
    busy = waiting.model_copy(update={"calls": (*waiting.calls, call("tool_2"))})
    assert loop.waiting_for(busy, parallel=True) == ()
    for message in (SubrunWaits(child_run_id=CHILD), SubrunEnded(child_run_id=CHILD)):
        assert loop.waiting_for(loop.hear(waiting, message), parallel=True) == ()


def test_an_interrupted_run_forgets_what_its_subruns_waited_for() -> None:
    waiting = loop.hear(spawned(), SubrunWaits(child_run_id=CHILD, checkpoint_ids=(ASKED,)))
    interrupt = Interrupt(behavior="discard")
    after = loop.after_take_up(loop.hear(waiting, interrupt), interrupt)
    assert (after.calls, after.subruns) == ((), {})


def test_a_set_up_comes_after_the_box_and_before_the_first_turn() -> None:
    begun = state(has_target=True, open_step=0, calls=(call(),))
    assert loop.next_step(begun) == loop.Materialize()
    placed = begun.model_copy(update={"queue": "host-1"})
    assert loop.next_step(placed) == loop.RunTools(calls=(call(),), parallel=False)
    done = loop.after_tool(placed, loop.Settled(tool_execution_id=ToolExecutionId("tool_1"), wrote=True))
    assert loop.next_step(done) == loop.SaveTree(step=0)
    assert loop.next_step(loop.after_tree(done)) == loop.CallModel(step=1, completes=None, incoming=())


def test_a_set_up_that_is_interrupted_ends_the_run_and_one_that_is_done_does_not() -> None:
    interrupt = Interrupt(behavior="discard")
    begun = state(has_target=True, queue="host-1", open_step=0, calls=(call(),))
    stopped = loop.next_step(loop.after_take_up(loop.hear(begun, interrupt), interrupt))
    message = "the set-up of the workspace was interrupted"
    assert stopped == loop.Finish(
        ending=Ending(status="failed", stop_reason="error", code="target.setup_failed", message=message)
    )
    done = loop.after_tool(begun, loop.Settled(tool_execution_id=ToolExecutionId("tool_1"), wrote=True))
    after = loop.after_take_up(loop.hear(done, interrupt), interrupt)
    assert loop.next_step(after) == loop.SaveTree(step=0)


def test_a_set_up_that_failed_ends_the_run() -> None:
    begun = state(has_target=True, queue="host-1", open_step=0, calls=(call(),))
    ending = Ending(status="failed", stop_reason="error", code="target.setup_failed", message="no")
    settled = loop.Settled(tool_execution_id=ToolExecutionId("tool_1"), wrote=True, ending=ending)
    assert loop.next_step(loop.after_tool(begun, settled)) == loop.Finish(ending=ending)
