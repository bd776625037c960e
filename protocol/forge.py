"""Forges: the branch that a run may move, the push as it was prepared, and what came of it."""

from typing import Literal

from protocol.checkpoint import PushFacts
from protocol.noun import Noun


class PreparedPush(PushFacts):
    """One exact move of one branch. `repository` is `forge/owner/repository`, `ref` a full ref name.

    `diff_digest` names the bytes that a person's view is made from, `bundle_digest` what a redeem needs.
    """

    base_branch: str
    bundle_digest: str
    commits: tuple[str, ...]

    @property
    def facts(self) -> PushFacts:
        return PushFacts(**{name: getattr(self, name) for name in PushFacts.model_fields})

    @property
    def branch(self) -> str:
        return self.ref.removeprefix("refs/heads/")


class Examined(Noun):
    """A prepared push with the diff from base to new; bundle and diff are the caller's to keep."""

    push: PreparedPush
    diff: bytes


class PreparedPullRequest(Noun):
    """A pull request for a prepared push: both are one act."""

    push: PreparedPush
    base_branch: str
    title: str
    body: str


class PullRequest(Noun):
    """A pull request as the forge tells it. `head_id` is the commit that its branch has there."""

    number: int
    url: str
    head: str
    base: str
    head_id: str
    state: Literal["open", "closed", "merged"]


class ForgeRepository(Noun):
    name: str
    default_branch: str


class Pushed(Noun):
    commit: str


class LeaseLost(Noun):
    """The branch is not where it was when the push was prepared; nothing was moved."""

    found: str | None


PushResult = Pushed | LeaseLost


class Performed(Noun):
    """The act stands on the forge; `repeated` where all of it stood there before."""

    commit: str
    pull_request: PullRequest | None = None
    repeated: bool = False


ForgeOutcome = Performed | LeaseLost


class ActState(Noun):
    """What a look at the forge tells of an act: all done, only pushed, not begun, or the branch elsewhere."""

    state: Literal["done", "partial", "absent", "moved"]
    found: str | None
    pull_request: PullRequest | None = None
