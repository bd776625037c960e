"""The question that is put to a policy, the verdict that comes back, and whoever can give it.

No policy engine is loaded here: workflow code and the resolver know these words only.
"""

from typing import Literal, Protocol

from protocol.capability import GrantKind, RepositoryGrant
from protocol.noun import JSONObject, Noun
from protocol.tool import Effect, ToolSource

Answer = Literal["allow", "ask", "deny"]
OfRun = Literal["place", "spend"]

NO_RULE = "policy.default"
"""The rule of a denial that no rule caused: what is not permitted is denied."""


class Asker(Noun):
    """The principal for whom the run acts, with the roles that it has now, and the run's project."""

    id: str
    roles: tuple[str, ...] = ()
    project: str | None = None


class RepositoryFacts(Noun):
    """The repository that a call would touch, and whether that is the branch which the run was given."""

    forge: str
    repository: str
    base: str
    branch: str
    branch_granted: bool = True


def repository_facts(grant: RepositoryGrant | None, branch: str | None = None) -> RepositoryFacts | None:
    """The facts for a question about a call that would move `branch` (None: the granted one)."""
    if grant is None:
        return None
    moved = grant.branch if branch is None else branch
    return RepositoryFacts(
        forge=grant.forge,
        repository=grant.repository,
        base=grant.base_branch,
        branch=moved,
        branch_granted=moved == grant.branch,
    )


class PolicyQuestion(Noun):
    """May this principal use this tool, here and so? `arguments` is None while a snapshot is resolved. Those
    of the kinds `place` and `spend` are about the run itself; `limits` is what it may spend at most."""

    principal: Asker
    tool: str
    kind: GrantKind | OfRun = "tool"
    source: ToolSource
    effect: Effect
    attributes: dict[str, str] = {}
    target: Literal["workspace", "browser", "client"] | None = None
    approval: Literal["auto", "ask"] | None = None
    labels: tuple[str, ...] = ()
    repository: RepositoryFacts | None = None
    arguments: JSONObject | None = None
    limits: dict[str, int] | None = None


class Verdict(Noun):
    """`rules` are the ids of the deciding rules; `policy_digest` names the text that they stand in."""

    answer: Answer
    rules: tuple[str, ...]
    reason: str
    policy_digest: str

    @property
    def rule(self) -> str:
        return self.rules[0] if self.rules else NO_RULE


class DecisionPoint(Protocol):
    """One immutable version of the policy."""

    @property
    def digest(self) -> str: ...

    @property
    def engine(self) -> str: ...

    def decide(self, question: PolicyQuestion) -> Verdict: ...
