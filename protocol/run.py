"""Runs: one orchestrated, durable execution inside a session, and the request that makes one."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from protocol.block import InputDraft
from protocol.budget import OnExceed
from protocol.capability import Capability
from protocol.errors import ErrorBody
from protocol.ids import CallId, CheckpointId, RunId, SessionId, SnapshotId
from protocol.noun import JSONObject, Moment, Noun
from protocol.usage import Usage

RunStatus = Literal["queued", "running", "waiting", "completed", "failed", "cancelled", "timed_out"]
TERMINAL: frozenset[RunStatus] = frozenset({"completed", "failed", "cancelled", "timed_out"})

StopReason = Literal[
    "end_turn",
    "max_turns",
    "max_tool_calls",
    "max_tokens",
    "max_cost",
    "timeout",
    "cancelled",
    "safety_blocked",
    "denied",
    "error",
]

Count = Annotated[int, Field(ge=0, le=1_000_000_000)]


class Limits(Noun):
    """A run's budgets; 0 is off. `timeout_ms` stands still while the run waits for somebody. `on_exceed` is
    for tokens and cost: the run stops, or asks to go on."""

    max_turns: Count = 50
    max_tool_calls: Count = 200
    max_tokens: Count = 0
    max_cost_usd: Annotated[float, Field(ge=0)] = 0
    timeout_ms: Count = 3_600_000
    tool_timeout_ms: Annotated[int, Field(ge=1, le=24 * 3600 * 1000)] = 120_000
    parallel_tools: bool = True
    on_exceed: OnExceed = "stop"


class LimitsPatch(Noun):
    """The limits that a request names; the rest keep their defaults."""

    max_turns: Count | None = None
    max_tool_calls: Count | None = None
    max_tokens: Count | None = None
    max_cost_usd: Annotated[float, Field(ge=0)] | None = None
    timeout_ms: Count | None = None
    tool_timeout_ms: Annotated[int, Field(ge=1, le=24 * 3600 * 1000)] | None = None
    parallel_tools: bool | None = None
    on_exceed: OnExceed | None = None


class HarnessChoice(Noun):
    placement: Literal["hosted", "local", "external"] = "hosted"
    name: str = "native"


class RepositoryChoice(Noun):
    """A repository on a declared forge: `remote` is `forge/repository` or `forge/owner/repository`."""

    remote: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+){1,2}$")]
    base: str = "main"
    branch: str | None = None


class TargetChoice(Noun):
    kind: Literal["workspace", "browser", "client"]
    name: str
    repo: RepositoryChoice | None = None


class ToolReference(Noun):
    source: Literal["native", "provider", "plugin", "target"]
    name: str


class Routing(Noun):
    model: str


class OutputChoice(Noun):
    json_schema: JSONObject


class SafetyChoice(Noun):
    """A request may not loosen: a `mode` other than `enforce` is understood, and forbidden."""

    profile: str = "default"
    mode: Literal["enforce", "warn", "off"] = "enforce"


class RunRequest(Noun):
    """The body of POST /v1/runs and /v1/runs:stream."""

    session_id: str | None = None
    input: Annotated[str, Field(min_length=1)] | None = None
    blocks: Annotated[tuple[InputDraft, ...], Field(min_length=1)] | None = None
    model: str | None = None
    routing: Routing | None = None
    agent: str | None = None
    context: Literal["stateful", "stateless"] = "stateful"
    harness: HarnessChoice = HarnessChoice()
    target: TargetChoice | None = None
    targets: tuple[TargetChoice, ...] | None = None
    tools: tuple[ToolReference, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    limits: LimitsPatch = LimitsPatch()
    output: OutputChoice | None = None
    safety: SafetyChoice = SafetyChoice()
    metadata: dict[str, str] = {}
    mode: Literal["async", "wait"] = "async"

    @model_validator(mode="after")
    def _one_input(self) -> "RunRequest":
        if (self.input is None) == (self.blocks is None):
            raise ValueError("exactly one of `input` and `blocks` is needed")
        if self.model is not None and self.routing is not None:
            raise ValueError("`model` and `routing` exclude each other")
        return self


class WaitingFor(Noun):
    checkpoint_ids: tuple[CheckpointId, ...]


class Run(Noun):
    """A run as the API shows it."""

    id: RunId
    session_id: SessionId
    parent_run_id: RunId | None = None
    ancestor_run_ids: tuple[RunId, ...] = ()
    status: RunStatus
    stop_reason: StopReason | None = None
    model: str
    primary_resolved_model: str | None = None
    harness: HarnessChoice
    target: TargetChoice | None = None
    capability_snapshot_id: SnapshotId | None = None
    limits: Limits
    usage: Usage = Usage()
    cost_usd: float | None = None
    ttft_ms: int | None = None
    step_count: int = 0
    tool_count: int = 0
    last_seq: int = 0
    waiting_for: WaitingFor | None = None
    error: ErrorBody | None = None
    output_text: str | None = None
    output: JSONObject | None = None
    assessment_outcome: Literal["pass", "fail"] | None = None
    metadata: dict[str, str] = {}
    created_at: Moment
    started_at: Moment | None = None
    completed_at: Moment | None = None


class Step(Noun):
    """One model turn and its tools."""

    run_id: RunId
    index: int
    call_id: CallId
    tool_count: int
    status: Literal["running", "completed", "interrupted"]
    tree_checkpoint: str | None = None
    started_at: Moment
    completed_at: Moment | None = None


CallStatus = Literal["running", "completed", "failed", "interrupted"]


class Call(Noun):
    """One model invocation; `attempt` counts its tries."""

    id: CallId
    session_id: SessionId
    run_id: RunId | None
    step: int | None
    model: str
    resolved_model: str
    status: CallStatus
    attempt: int
    usage: Usage | None = None
    cost_usd: float | None = None
    ttft_ms: int | None = None
    stop_reason: str | None = None
    error: ErrorBody | None = None
    request_digest: str | None = None
    created_at: Moment
    completed_at: Moment | None = None
