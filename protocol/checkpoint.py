"""Checkpoints: durable pauses that only an answer from outside, or their deadline, ends."""

from typing import Annotated, Literal

from pydantic import computed_field

from protocol.digest import digest
from protocol.ids import CheckpointId, PrincipalId, RunId, SessionId, SnapshotId, ToolExecutionId
from protocol.noun import JSON, Digested, JSONObject, Moment, Noun

CheckpointKind = Literal["approval", "client_tool", "question", "budget", "outcome_unknown", "handoff"]
CheckpointStatus = Literal[
    "open", "approved", "denied", "answered", "expired", "cancelled", "redeemed", "revoked"
]
DecisionVerb = Literal["approve", "deny", "answer", "defer", "revoke"]


class PushFacts(Noun):
    """The exact move of one branch: what is pushed, onto what, and the digest of the diff as rendered."""

    repository: str
    ref: str
    expected_old: str | None
    new: str
    base: str
    diff_digest: str


class Envelope(Noun):
    """The exact act that an approval is bound to; its digest is what the decision names (design 7)."""

    envelope_version: Literal[1] = 1
    run_id: RunId
    snapshot_id: SnapshotId
    policy_digest: str
    tool: str
    definition_digest: str
    tool_execution_id: ToolExecutionId
    arguments: JSONObject
    target: str | None
    cwd: str | None
    environment: tuple[str, ...]
    files: dict[str, str]
    push: PushFacts | None = None


class Decision(Noun):
    """Who decided what, when (database clock), and what was shown to them."""

    decision: DecisionVerb
    by: PrincipalId
    by_name: str
    auth_method: str
    at: Moment
    envelope_digest: str | None = None
    rendered_digest: str
    reason: str | None = None
    arguments: JSONObject | None = None
    answer: JSON = None


class Required(Noun):
    """Who must agree: so many different principals, each with the role, the one whose run asks or not."""

    role: str | None = None
    count: int = 1
    not_requester: bool = False


class Checkpoint(Noun):
    """`rendered` is what a person sees, made from the digested bytes with invisible characters escaped."""

    id: CheckpointId
    run_id: RunId
    ancestor_run_ids: tuple[RunId, ...] = ()
    session_id: SessionId
    kind: CheckpointKind
    status: CheckpointStatus
    tool: str | None = None
    tool_execution_id: ToolExecutionId | None = None
    arguments: JSONObject | None = None
    envelope: Annotated[Envelope, Digested] | None = None
    envelope_digest: str | None = None
    rendered: str
    rule: str | None = None
    requested_by: str
    required: Required = Required()
    decisions: tuple[Decision, ...] = ()
    created_at: Moment
    expires_at: Moment
    resolved_at: Moment | None = None

    @computed_field
    @property
    def approvals(self) -> int:
        """How many different principals have agreed to it as it stands."""
        agreed = [one for one in self.decisions if one.decision == "approve"]
        return len({one.by for one in agreed if not self.is_edit(one.arguments)})

    @property
    def edited(self) -> JSONObject | None:
        """The other arguments with which somebody closed it, which by itself authorizes nothing."""
        for decision in self.decisions:
            if decision.decision == "approve" and self.is_edit(decision.arguments):
                return decision.arguments
        return None

    def is_edit(self, arguments: JSONObject | None) -> bool:
        return arguments is not None and digest(arguments) != digest(self.arguments)
