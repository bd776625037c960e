"""The native loop, pure: a state and what happened give the next state, a state gives the next step.

Order of the checks and the stop reasons: budgets before each turn; a batch that would pass `max_tool_calls`,
or a turn that passed the token or cost budget, is not executed at all.
"""

from typing import Literal

from harness.state import BudgetWait, Ending, PendingCall, RunState
from protocol.ids import CheckpointId, RunId, ToolExecutionId
from protocol.inbox import (
    Cancel,
    CheckpointResolved,
    Interrupt,
    LimitsRaised,
    Message,
    Sent,
    SubrunEnded,
    SubrunWaits,
)
from protocol.noun import Noun
from protocol.run import Limits, LimitsPatch, StopReason

_FINISHES: dict[str, StopReason] = {
    "end": "end_turn",
    "cut": "max_tokens",
    "refused": "safety_blocked",
}


class Materialize(Noun):
    """The run has a target and no box."""


class CallModel(Noun):
    step: int
    completes: int | None
    incoming: tuple[str, ...]


class RunTools(Noun):
    calls: tuple[PendingCall, ...]
    parallel: bool


class SaveTree(Noun):
    """A step wrote in its workspace: checkpoint the tree before the step is completed."""

    step: int


class TakeUp(Noun):
    """An interrupt stopped the step: settle what it left, then go on."""

    interrupt: Interrupt


class AwaitBudget(Noun):
    """The next model call would pass a budget, and somebody is asked."""

    wait: BudgetWait


class Finish(Noun):
    ending: Ending


Next = Materialize | CallModel | RunTools | SaveTree | TakeUp | AwaitBudget | Finish


def next_step(state: RunState) -> Next:
    if state.ending is not None:
        return Finish(ending=state.ending)
    if state.interrupt is not None:
        return TakeUp(interrupt=state.interrupt)
    if state.budget is not None:
        return AwaitBudget(wait=state.budget)
    if state.has_target and state.queue is None:
        return Materialize()
    todo = tuple(call for call in state.calls if call.phase != "done")
    if todo:
        return RunTools(calls=todo, parallel=state.limits.parallel_tools and len(todo) > 1)
    if state.open_step is not None and state.wrote and state.has_target:
        return SaveTree(step=state.open_step)
    spent = exhausted(state)
    if spent is not None:
        return Finish(ending=Ending(status="completed", stop_reason=spent))
    return CallModel(step=state.step + 1, completes=state.open_step, incoming=state.incoming)


def exhausted(state: RunState) -> StopReason | None:
    """The budget that forbids another model turn, if any."""
    limits = state.limits
    if limits.max_turns and state.step >= limits.max_turns:
        return "max_turns"
    if limits.on_exceed == "ask":  # then the gate before the model call asks
        return None
    if limits.max_tokens and state.tokens >= limits.max_tokens:
        return "max_tokens"
    if limits.max_cost_usd and state.cost_usd >= limits.max_cost_usd:
        return "max_cost"
    return None


class Reply(Noun):
    """What a model turn came to. `calls` is empty where the model has finished, and `finish` says how: by
    itself, cut at its output cap, or refused by the model or its vendor."""

    calls: tuple[PendingCall, ...]
    tokens: int
    cost_usd: float
    finish: Literal["end", "cut", "refused"] = "end"


def after_model(state: RunState, reply: Reply) -> RunState:
    """`state.incoming` is what the turn has not seen: a run does not end over the head of who sent it."""
    state = state.model_copy(
        update={
            "step": state.step + 1,
            "tokens": state.tokens + reply.tokens,
            "cost_usd": state.cost_usd + reply.cost_usd,
            "open_step": None,
            "wrote": False,
            "calls": (),
            "answers": (),
        }
    )
    limits = state.limits
    stops = limits.on_exceed == "stop"
    over: StopReason | None = None
    if stops and limits.max_tokens and state.tokens > limits.max_tokens:
        over = "max_tokens"
    elif stops and limits.max_cost_usd and state.cost_usd > limits.max_cost_usd:
        over = "max_cost"
    elif (
        reply.calls and limits.max_tool_calls and state.tool_count + len(reply.calls) > limits.max_tool_calls
    ):
        over = "max_tool_calls"
    if over is not None:
        return _end(state, "completed", over)
    if not reply.calls and not state.incoming:
        return _end(state, "completed", _FINISHES[reply.finish])
    return state.model_copy(
        update={
            "calls": reply.calls,
            "open_step": state.step,
            "tool_count": state.tool_count + len(reply.calls),
        }
    )


class Settled(Noun):
    """A tool call has its result; `ending` where the run cannot go on after it."""

    tool_execution_id: ToolExecutionId
    wrote: bool = False
    ending: Ending | None = None


class Asked(Noun):
    """A tool call waits for somebody."""

    tool_execution_id: ToolExecutionId
    checkpoint_id: str
    expires_at: str


class Spawned(Noun):
    """A tool call made a subrun, whose end is its result."""

    tool_execution_id: ToolExecutionId
    child_run_id: RunId


def after_tool(state: RunState, outcome: Settled | Asked | Spawned) -> RunState:
    stands: dict[str, str | None] = {"phase": "done", "checkpoint_id": None, "expires_at": None}
    awaited: str | None = None
    match outcome:
        case Settled():
            pass
        case Asked(checkpoint_id=awaited, expires_at=expires_at):
            stands = {"phase": "waiting", "checkpoint_id": awaited, "expires_at": expires_at}
        case Spawned(child_run_id=awaited):
            stands |= {"phase": "spawned", "child_run_id": awaited}
    wrote = state.wrote or (isinstance(outcome, Settled) and outcome.wrote)
    calls = _with(state, outcome.tool_execution_id, stands)
    state = state.model_copy(update={"calls": calls, "wrote": wrote})
    state = ended(state, outcome.ending if isinstance(outcome, Settled) else None)
    return after_answer(state, awaited) if awaited and awaited in state.answers else state


def after_start(state: RunState, execution: ToolExecutionId) -> RunState:
    """The story of a call's subrun has begun, where it is not over already."""
    if not any(call.tool_execution_id == execution and call.phase == "spawned" for call in state.calls):
        return state
    return state.model_copy(update={"calls": _with(state, execution, {"phase": "delegated"})})


def _with(
    state: RunState, execution: ToolExecutionId, stands: dict[str, str | None]
) -> tuple[PendingCall, ...]:
    return tuple(
        call.model_copy(update=stands) if call.tool_execution_id == execution else call
        for call in state.calls
    )


def after_budget_asked(state: RunState, wait: BudgetWait) -> RunState:
    """The model call waits for a decision, unless that was heard before it was known to be asked for."""
    if wait.checkpoint_id in state.answers:
        answers = tuple(answer for answer in state.answers if answer != wait.checkpoint_id)
        return state.model_copy(update={"answers": answers})
    return state.model_copy(update={"budget": wait})


def after_budget_due(state: RunState, wait: BudgetWait, expires_at: str | None) -> RunState:
    """Its deadline passed, or was moved to a later one meanwhile."""
    if state.budget != wait:
        return state
    later = None if expires_at is None else wait.model_copy(update={"expires_at": expires_at})
    return state.model_copy(update={"budget": later})


def after_answer(state: RunState, awaited: str) -> RunState:
    """Somebody answered, or the deadline did, or a subrun has ended: the call that waits for it can be taken
    up. An answer may be heard before the call is known to wait."""

    def waits(call: PendingCall) -> bool:
        return awaited == (call.checkpoint_id if call.phase == "waiting" else _subrun_of(call))

    def taken_up(call: PendingCall) -> PendingCall:
        return call.model_copy(update={"phase": "answered" if call.phase == "waiting" else "ready"})

    if state.budget is not None and state.budget.checkpoint_id == awaited:
        return state.model_copy(update={"budget": None})
    if not any(map(waits, state.calls)):
        return state.model_copy(update={"answers": (*state.answers, awaited)})
    calls = tuple(taken_up(call) if waits(call) else call for call in state.calls)
    answers = tuple(answer for answer in state.answers if answer != awaited)
    return state.model_copy(update={"calls": calls, "answers": answers})


def waiting_for(state: RunState, *, parallel: bool) -> tuple[CheckpointId, ...]:
    """The checkpoints that the calls wait for, by themselves or through their subruns, where nothing else can
    be done; empty otherwise. Calls that are carried out in turn wait behind the first."""
    todo = tuple(call for call in state.calls if call.phase != "done")
    found = [_awaited(state, call) for call in (todo if parallel else todo[:1])]
    return tuple(dict.fromkeys(name for names in found for name in names)) if all(found) else ()


def rests(state: RunState) -> bool:
    """Whether subruns are at work, and nothing of any call is in hand here."""
    todo = [call for call in state.calls if call.phase != "done"]
    return bool(subruns(state)) and all(call.phase in ("waiting", "delegated") for call in todo)


def subruns(state: RunState) -> tuple[RunId, ...]:
    """Those that are at work."""
    return tuple(child for call in state.calls if (child := _subrun_of(call)) is not None)


def spawned(state: RunState) -> bool:
    """Whether a call of the open step made a subrun, at work or over."""
    return any(call.child_run_id is not None for call in state.calls)


def _subrun_of(call: PendingCall) -> RunId | None:
    return call.child_run_id if call.phase in ("spawned", "delegated") else None


def _awaited(state: RunState, call: PendingCall) -> tuple[CheckpointId, ...]:
    child = _subrun_of(call)
    if child is not None:
        return state.subruns.get(child, ())
    return (call.checkpoint_id,) if call.phase == "waiting" and call.checkpoint_id else ()


def after_target_lost(state: RunState) -> RunState:
    """The box is gone: rebuild it; the open step's workspace calls run anew as a new attempt."""

    def anew(call: PendingCall) -> PendingCall:
        if call.effect != "workspace" or call.phase == "waiting":
            return call
        return call.model_copy(update={"phase": "ready"})

    return state.model_copy(update={"queue": None, "calls": tuple(map(anew, state.calls))})


def after_tree(state: RunState) -> RunState:
    return state.model_copy(update={"open_step": None, "wrote": False, "calls": ()})


def after_take_up(state: RunState, taken: Interrupt) -> RunState:
    """What the interrupt stopped is settled: its message is in the head, the step is closed. What it may have
    written is saved before anything else is begun. One that was heard meanwhile is taken up next. No model is
    given a workspace whose set-up was stopped."""
    if state.open_step == 0 and any(call.phase != "done" for call in state.calls):
        state = failed(state, "target.setup_failed", "the set-up of the workspace was interrupted")
    wrote = state.has_target and (state.wrote or any(call.effect == "workspace" for call in state.calls))
    open_step = state.open_step if wrote else None
    later = None if state.interrupt == taken else state.interrupt
    over = {"interrupt": later, "budget": None, "open_step": open_step, "calls": (), "wrote": wrote}
    return state.model_copy(update={**over, "subruns": {}})


def hear(state: RunState, message: Message) -> RunState:
    """One message of the inbox; a resolved checkpoint is looked up by whoever waits for it."""
    match message:
        case Cancel():
            return _end(state, "cancelled", "cancelled")
        case Interrupt():
            return _interrupted(state, message)
        case Sent():
            return state.model_copy(update={"incoming": (*state.incoming, message.block_id)})
        case LimitsRaised():
            raised = patched(state.limits, message.limits)
            return state.model_copy(update={"limits": raised, "budget": None})
        case CheckpointResolved():
            return after_answer(state, message.checkpoint_id)
        case SubrunWaits(child_run_id=child, checkpoint_ids=asked):
            return state.model_copy(update={"subruns": {**state.subruns, child: asked}})
        case SubrunEnded(child_run_id=child):
            others = {name: asked for name, asked in state.subruns.items() if name != child}
            return after_answer(state.model_copy(update={"subruns": others}), child)


def _interrupted(state: RunState, interrupt: Interrupt) -> RunState:
    """The last interrupt counts, and the words of one before it are not lost."""
    before = state.interrupt.block_id if state.interrupt else None
    incoming = (*state.incoming, before) if before is not None else state.incoming
    return state.model_copy(update={"interrupt": interrupt, "incoming": incoming})


def timed_out(state: RunState) -> RunState:
    return _end(state, "timed_out", "timeout")


def ended(state: RunState, ending: Ending | None) -> RunState:
    """Somebody else found that the run is over."""
    return state.model_copy(update={"ending": state.ending or ending})


def failed(state: RunState, code: str, message: str, param: str | None = None) -> RunState:
    return ended(state, Ending(status="failed", stop_reason="error", code=code, message=message, param=param))


def patched(limits: Limits, patch: LimitsPatch) -> Limits:
    return limits.model_copy(update=patch.model_dump(exclude_none=True))


def _end(
    state: RunState, status: Literal["completed", "cancelled", "timed_out"], why: StopReason
) -> RunState:
    """The first ending stands: what was decided is not decided again."""
    return ended(state, Ending(status=status, stop_reason=why))
