"""Tools: their definitions, the classes of their effects, and the record of one execution."""

from typing import Literal

from protocol.ids import CheckpointId, RunId, SessionId, ToolExecutionId
from protocol.noun import JSONObject, Moment, Noun

Effect = Literal["read_only", "idempotent_write", "non_idempotent_write", "workspace", "unknown"]
"""How an effect may be repeated after a crash; `unknown` is treated as `non_idempotent_write`."""

ToolSource = Literal[
    "native", "target", "forge", "client", "provider", "plugin", "mcp", "memory", "skill", "vault", "egress"
]


class ToolDefinition(Noun):
    """What the model is told of a tool, and what the gate knows of it.

    `advisory` names top-level arguments that only describe (a reason, a title for the reader): they stay
    out of the execution envelope. Every other argument is inside its digest. `compensation` says what a
    person can do to undo what the tool did; it is shown to whoever decides about it.
    """

    name: str
    description: str
    input_schema: JSONObject
    source: ToolSource
    effect: Effect
    advisory: tuple[str, ...] = ()
    compensation: str | None = None


ToolStatus = Literal["requested", "waiting", "claimed", "completed", "denied", "cancelled"]
ToolOutcome = Literal["succeeded", "failed", "denied", "expired", "interrupted", "unknown", "not_executed"]


class ToolExecution(Noun):
    """One call of a tool, from the model's request to the result that the model sees.

    `edits` counts how often a person has put other arguments in the place of those that it had.
    """

    id: ToolExecutionId
    run_id: RunId
    session_id: SessionId
    step: int
    ordinal: int
    tool_call_id: str
    tool: str
    source: ToolSource
    effect: Effect
    arguments: JSONObject
    arguments_digest: str
    status: ToolStatus
    attempt: int = 0
    edits: int = 0
    outcome: ToolOutcome | None = None
    is_error: bool | None = None
    exit_code: int | None = None
    duration_ms: int | None = None
    result_digest: str | None = None
    preview: str | None = None
    checkpoint_id: CheckpointId | None = None
    created_at: Moment
    started_at: Moment | None = None
    completed_at: Moment | None = None
