"""Capabilities: what a run asks for, and the immutable snapshot of what it was given."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from protocol.egress import EgressName, EgressRule
from protocol.ids import RunId, SnapshotId
from protocol.noun import JSON, Digested, JSONObject, Moment, Noun
from protocol.subrun import ParentSnapshot, SubrunLimits
from protocol.tool import Effect, ToolDefinition
from protocol.workspace import WorkspacePlan

Approval = Literal["auto", "ask", "approve"]
"""`approve` is an older spelling of `ask`."""

Name = Annotated[str, Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@/-]*$")]


class ToolCapability(Noun):
    kind: Literal["tool"]
    name: Name
    approval: Approval | None = None


class ClientToolCapability(Noun):
    """A tool that the application itself runs: the run pauses until its result is submitted."""

    kind: Literal["client_tool"]
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: str
    input_schema: JSONObject
    effect: Effect = "unknown"
    compensation: Annotated[str, Field(min_length=1, max_length=2_000)] | None = None
    approval: Approval | None = None
    timeout_ms: Annotated[int, Field(ge=100, le=7 * 24 * 3600 * 1000)] = 30_000


class McpCapability(Noun):
    kind: Literal["mcp"]
    server: Name
    tools: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()


class SkillCapability(Noun):
    kind: Literal["skill"]
    ref: Name


class MemoryCapability(Noun):
    kind: Literal["memory"]
    scope: Literal["user", "project", "session"]
    access: Literal["read", "write"]


class VaultCapability(Noun):
    kind: Literal["vault"]
    name: Name
    access: Literal["read", "write"]


class EgressCapability(Noun):
    """What the run's box may reach: a named list of hosts, or rules of its own. No rule: nothing."""

    kind: Literal["egress"]
    bundle: EgressName | None = None
    rules: tuple[EgressRule, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> "EgressCapability":
        if (self.bundle is not None and self.rules) or not self.model_fields_set & {"bundle", "rules"}:
            raise ValueError("either `bundle` or `rules`")
        return self


class EvalCapability(Noun):
    kind: Literal["eval"]
    ref: Name


class CompactionCapability(Noun):
    kind: Literal["compaction"]
    ref: Name


Capability = Annotated[
    ToolCapability
    | ClientToolCapability
    | McpCapability
    | SkillCapability
    | MemoryCapability
    | VaultCapability
    | EgressCapability
    | EvalCapability
    | CompactionCapability,
    Field(discriminator="kind"),
]


def label(capability: Capability) -> str:
    """What a capability of any kind is called, as in a denial of it."""
    fields = ("name", "server", "ref", "scope", "bundle")
    names = (getattr(capability, field, None) for field in fields)
    return next((str(name) for name in names if name is not None), capability.kind)


GrantKind = Literal[
    "tool",
    "client_tool",
    "mcp_tool",
    "mcp_resource",
    "mcp_prompt",
    "skill",
    "memory",
    "vault",
    "browser",
    "egress",
    "harness",
    "safety",
    "eval",
    "compaction",
    "provider_tool",
]


class Grant(Noun):
    """One thing that the run may do. `definition_digest` pins the raw definition; drift stops the call.
    `attributes` is what rules may ask of it besides its kind, source and effect."""

    kind: GrantKind
    name: str
    source_identity: str
    definition: ToolDefinition
    definition_digest: str
    effect: Effect
    approval: Literal["auto", "ask"]
    rules: tuple[str, ...] = ()
    attributes: dict[str, str] = {}
    argument_constraints: JSONObject = {}
    hosts: tuple[str, ...] = ()
    timeout_ms: int | None = None
    expires_at: Moment | None = None


class Denial(Noun):
    kind: str
    name: str
    rule: str
    reason: str


class Downgrade(Noun):
    kind: str
    name: str
    asked: str
    given: str
    rule: str
    reason: str


class RepositoryGrant(Noun):
    """The one branch of the one repository that the run may move, from one base commit on."""

    forge: str
    repository: str
    base_branch: str
    base_commit: str
    branch: str


class SnapshotDocument(Noun):
    """What the digest covers (design 5). `parent` is there in a subrun's, `subruns` where it may spawn."""

    version: Literal[1] = 1
    run_id: RunId
    requested: tuple[Capability, ...]
    grants: tuple[Grant, ...]
    denials: tuple[Denial, ...]
    downgrades: tuple[Downgrade, ...]
    policy_digest: str
    policy_engine: str
    principal: str
    target: JSONObject | None = None
    repository: RepositoryGrant | None = None
    model: str | None = None
    workspace: WorkspacePlan | None = None
    safety_profile: str = "default@1"
    assessment_profile: str = "default@1"
    parent: ParentSnapshot | None = None
    subruns: SubrunLimits | None = None


class CapabilitySnapshot(Noun):
    """The authority of one run: a content-addressed, signed document (Ed25519 over RFC 8785 JSON)."""

    id: SnapshotId
    digest: str
    document: Annotated[SnapshotDocument, Digested]
    signature: str
    key_id: str
    created_at: Moment

    def grant_for(self, name: str) -> Grant | None:
        return next((grant for grant in self.document.grants if grant.name == name), None)


class Evidence(Noun):
    """What was really materialized under a snapshot: one row of an append-only chain.

    `digest` covers every other field. `previous` is the digest of the row before, and of the first row the
    snapshot's own digest: the chain begins with what was allowed.
    """

    snapshot_id: SnapshotId
    snapshot_digest: str
    ordinal: int
    kind: str
    body: dict[str, JSON]
    previous: str
    digest: str
    at: Moment
