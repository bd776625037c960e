"""Events: the one gapless stream of a run. A body is what happened; the log adds seq, run, session and time.

Facts are keyed, so that a retry appends them once; fragments (deltas, output) carry their attempt or offset.
"""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from protocol.block import Block
from protocol.checkpoint import CheckpointKind, DecisionVerb
from protocol.errors import ErrorBody
from protocol.ids import ArtifactId, CallId, CheckpointId, PrincipalId, RunId, SnapshotId, ToolExecutionId
from protocol.inbox import InterruptBehavior
from protocol.noun import JSONObject, Noun
from protocol.run import HarnessChoice, StopReason, TargetChoice
from protocol.tool import Effect, ToolOutcome, ToolSource
from protocol.usage import Usage


class RunCreated(Noun):
    type: Literal["run.created"] = "run.created"
    model: str
    harness: HarnessChoice
    target: TargetChoice | None = None


class RunStarted(Noun):
    type: Literal["run.started"] = "run.started"
    model: str
    harness: HarnessChoice
    target: TargetChoice | None = None


class NameCount(Noun):
    count: int
    names: tuple[str, ...]


class CapabilityResolved(Noun):
    type: Literal["capability.resolved"] = "capability.resolved"
    capability_snapshot_id: SnapshotId
    digest: str
    grants: NameCount
    denials: NameCount
    downgrades: NameCount


class TargetMaterialized(Noun):
    type: Literal["target.materialized"] = "target.materialized"
    target: str
    generation: int
    evidence_digest: str


class TargetLostEvent(Noun):
    type: Literal["target.lost"] = "target.lost"
    target: str
    generation: int
    evidence_digest: str | None = None


class StepStarted(Noun):
    type: Literal["step.started"] = "step.started"
    step: int


class StepCompleted(Noun):
    type: Literal["step.completed"] = "step.completed"
    step: int


class CallStarted(Noun):
    type: Literal["call.started"] = "call.started"
    step: int
    call_id: CallId
    attempt: int
    model: str


class ResponseDelta(Noun):
    type: Literal["response.delta"] = "response.delta"
    call_id: CallId
    attempt: int
    block: int
    delta: str


class ThinkingDelta(Noun):
    type: Literal["thinking.delta"] = "thinking.delta"
    call_id: CallId
    attempt: int
    block: int
    delta: str


class CallAttemptVoided(Noun):
    type: Literal["call.attempt_voided"] = "call.attempt_voided"
    call_id: CallId
    attempt: int


class CallCompleted(Noun):
    type: Literal["call.completed"] = "call.completed"
    call_id: CallId
    attempt: int
    usage: Usage
    cost_usd: float | None = None
    ttft_ms: int | None = None
    stop_reason: str


class CallFailed(Noun):
    type: Literal["call.failed"] = "call.failed"
    call_id: CallId
    attempt: int
    error: ErrorBody


class ToolRequested(Noun):
    type: Literal["tool_execution.requested"] = "tool_execution.requested"
    step: int
    tool_execution_id: ToolExecutionId
    tool_call_id: str
    tool: str
    source: ToolSource
    arguments: JSONObject | None = None
    arguments_digest: str | None = None
    effect: Effect


class ToolDenied(Noun):
    type: Literal["tool_execution.denied"] = "tool_execution.denied"
    tool_execution_id: ToolExecutionId
    rule: str
    reason: str


class ToolStarted(Noun):
    type: Literal["tool_execution.started"] = "tool_execution.started"
    tool_execution_id: ToolExecutionId
    attempt: int


class ToolOutput(Noun):
    type: Literal["tool_execution.output"] = "tool_execution.output"
    tool_execution_id: ToolExecutionId
    attempt: int
    stream: Literal["stdout", "stderr"]
    offset: int
    delta: str


class ToolCompleted(Noun):
    type: Literal["tool_execution.completed"] = "tool_execution.completed"
    tool_execution_id: ToolExecutionId
    attempt: int
    is_error: bool
    outcome: ToolOutcome
    duration_ms: int
    exit_code: int | None = None
    result_digest: str
    preview: str


class EgressDenied(Noun):
    """The run's box asked its proxy for what it may not have; each different denial is told once."""

    type: Literal["egress.denied"] = "egress.denied"
    rule: str
    reason: str
    host: str | None = None
    port: int | None = None
    method: str | None = None
    path: str | None = None


class ArtifactSaved(Noun):
    type: Literal["artifact.saved"] = "artifact.saved"
    artifact_id: ArtifactId
    tool_execution_id: ToolExecutionId
    name: str
    media_type: str
    size: int
    digest: str


class CheckpointOpened(Noun):
    type: Literal["checkpoint.opened"] = "checkpoint.opened"
    checkpoint_id: CheckpointId
    kind: CheckpointKind
    envelope_digest: str | None = None
    expires_at: str


class CheckpointDecided(Noun):
    type: Literal["checkpoint.decided"] = "checkpoint.decided"
    checkpoint_id: CheckpointId
    kind: CheckpointKind
    envelope_digest: str | None = None
    arguments_digest: str | None = None
    decision: DecisionVerb
    by: PrincipalId
    approvals: int | None = None
    approvals_needed: int | None = None


class CheckpointExpired(Noun):
    type: Literal["checkpoint.expired"] = "checkpoint.expired"
    checkpoint_id: CheckpointId
    kind: CheckpointKind


class CheckpointCancelled(Noun):
    type: Literal["checkpoint.cancelled"] = "checkpoint.cancelled"
    checkpoint_id: CheckpointId
    kind: CheckpointKind


class CheckpointRedeemed(Noun):
    type: Literal["checkpoint.redeemed"] = "checkpoint.redeemed"
    checkpoint_id: CheckpointId
    kind: CheckpointKind
    envelope_digest: str | None = None


class CheckpointRevoked(Noun):
    type: Literal["checkpoint.revoked"] = "checkpoint.revoked"
    checkpoint_id: CheckpointId
    kind: CheckpointKind


class CheckpointDeferred(Noun):
    type: Literal["checkpoint.deferred"] = "checkpoint.deferred"
    checkpoint_id: CheckpointId
    kind: CheckpointKind
    expires_at: str
    by: PrincipalId


class InputReceived(Noun):
    type: Literal["input.received"] = "input.received"
    blocks: tuple[Block, ...]


class RunInterrupted(Noun):
    type: Literal["run.interrupted"] = "run.interrupted"
    behavior: InterruptBehavior


class RunWaiting(Noun):
    type: Literal["run.waiting"] = "run.waiting"
    checkpoint_ids: tuple[CheckpointId, ...]


class RunResumed(Noun):
    type: Literal["run.resumed"] = "run.resumed"
    checkpoint_ids: tuple[CheckpointId, ...]


class SubrunStarted(Noun):
    type: Literal["subrun.started"] = "subrun.started"
    child_run_id: RunId


class SubrunCompleted(Noun):
    type: Literal["subrun.completed"] = "subrun.completed"
    child_run_id: RunId


class _RunEnded(Noun):
    stop_reason: StopReason
    usage: Usage
    cost_usd: float | None = None
    output_text: str | None = None
    error: ErrorBody | None = None


class RunCompleted(_RunEnded):
    type: Literal["run.completed"] = "run.completed"


class RunFailed(_RunEnded):
    type: Literal["run.failed"] = "run.failed"


class RunCancelled(_RunEnded):
    type: Literal["run.cancelled"] = "run.cancelled"


class RunTimedOut(_RunEnded):
    type: Literal["run.timed_out"] = "run.timed_out"


EventBody = Annotated[
    RunCreated
    | RunStarted
    | CapabilityResolved
    | TargetMaterialized
    | TargetLostEvent
    | StepStarted
    | StepCompleted
    | CallStarted
    | ResponseDelta
    | ThinkingDelta
    | CallAttemptVoided
    | CallCompleted
    | CallFailed
    | ToolRequested
    | ToolDenied
    | ToolStarted
    | ToolOutput
    | ToolCompleted
    | EgressDenied
    | ArtifactSaved
    | CheckpointOpened
    | CheckpointDecided
    | CheckpointExpired
    | CheckpointCancelled
    | CheckpointRedeemed
    | CheckpointRevoked
    | CheckpointDeferred
    | InputReceived
    | RunInterrupted
    | RunWaiting
    | RunResumed
    | SubrunStarted
    | SubrunCompleted
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunTimedOut,
    Field(discriminator="type"),
]

TERMINAL_EVENTS = frozenset({"run.completed", "run.failed", "run.cancelled", "run.timed_out"})
COMMON_FIELDS = ("type", "seq", "run_id", "session_id", "at")

_BODY: TypeAdapter[EventBody] = TypeAdapter(EventBody)


def body_of(flat: JSONObject) -> EventBody:
    """The typed body inside a stored event's flat object."""
    common = {"seq", "run_id", "session_id", "at"}
    return _BODY.validate_python({key: value for key, value in flat.items() if key not in common})
