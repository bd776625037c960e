"""The state of a run between two steps: small facts only, so that it can travel through continue-as-new."""

from typing import Literal

from protocol.ids import CheckpointId, RunId, ToolExecutionId
from protocol.inbox import Interrupt
from protocol.noun import Noun
from protocol.run import Limits, RunStatus, StopReason
from protocol.tool import Effect, ToolSource

CallPhase = Literal["ready", "waiting", "answered", "spawned", "delegated", "done"]
"""`spawned`: it made a subrun, whose story is to be begun; `delegated`: the subrun is at work."""


class PendingCall(Noun):
    """A tool call of the open step; `checkpoint_id` while somebody has to answer, `child_run_id` where a
    subrun carries it out."""

    tool_execution_id: ToolExecutionId
    source: ToolSource
    effect: Effect
    phase: CallPhase = "ready"
    checkpoint_id: CheckpointId | None = None
    expires_at: str | None = None
    child_run_id: RunId | None = None


class BudgetWait(Noun):
    """A model call that was not made: somebody has to agree that the run goes beyond a budget."""

    checkpoint_id: CheckpointId
    expires_at: str


class Ending(Noun):
    """How a run is to end; `error` is kept with the records, here stands only its code."""

    status: RunStatus
    stop_reason: StopReason
    code: str | None = None
    message: str | None = None
    param: str | None = None


class RunState(Noun):
    """`step` counts model turns that were begun, `open_step` is a tool step that is not yet completed.

    `clock_ms` is the time that the run has worked: it stands still while the run waits for somebody.
    `answers` are resolved checkpoints, and ended subruns, that no call is known to wait for yet.
    `subruns` says of each subrun that can do nothing what it waits for.
    """

    run_id: RunId
    limits: Limits
    step: int = 0
    open_step: int | None = None
    calls: tuple[PendingCall, ...] = ()
    answers: tuple[str, ...] = ()
    subruns: dict[RunId, tuple[CheckpointId, ...]] = {}
    tool_count: int = 0
    tokens: int = 0
    cost_usd: float = 0.0
    wrote: bool = False
    incoming: tuple[str, ...] = ()
    budget: BudgetWait | None = None
    interrupt: Interrupt | None = None
    ending: Ending | None = None
    has_target: bool = False
    queue: str | None = None
    heard: int = 0
    clock_ms: int = 0
