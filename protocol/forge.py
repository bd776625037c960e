"""Forges: the branch that a run may move, the push as it was prepared, and what came of it."""

import re
from typing import Annotated, Literal

from pydantic import Field

from protocol.checkpoint import PushFacts
from protocol.noun import Noun

_BRANCH = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/+#@=-]{0,199}")
_BROKEN = re.compile(r"\.\.|//|/[.-]|\.lock(/|$)|[./]$|^refs/|^HEAD$|^[0-9a-f]{40}$")

CommitId = Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]


def is_branch_name(text: str) -> bool:
    """The grammar of branches: a part of Git's own that means the same in every shell, URL and forge."""
    return _BRANCH.fullmatch(text) is not None and _BROKEN.search(text) is None


class PreparedPush(PushFacts):
    """One exact move of one branch. `repository` is `forge/owner/repository`, `ref` a full ref name.

    `diff_digest` covers the diff as rendered; `diff_text` is what of it a person is shown, with invisible
    characters escaped and a cut marked. `bundle_digest` names the bytes that a redeem needs.
    """

    base_branch: str
    diff_text: str
    bundle_digest: str
    commits: tuple[str, ...]

    @property
    def facts(self) -> PushFacts:
        return PushFacts(**{name: getattr(self, name) for name in PushFacts.model_fields})

    @property
    def branch(self) -> str:
        return self.ref.removeprefix("refs/heads/")


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
    commit: CommitId


class LeaseLost(Noun):
    """The branch is not where it was when the push was prepared; nothing was moved."""

    found: str | None


PushResult = Pushed | LeaseLost


class Performed(Noun):
    """The act stands on the forge; `repeated` where all of it stood there before."""

    commit: CommitId
    pull_request: PullRequest | None = None
    repeated: bool = False


ForgeOutcome = Performed | LeaseLost


class ActState(Noun):
    """What a look at the forge tells of an act: all done, only pushed, not begun, or the branch elsewhere."""

    state: Literal["done", "partial", "absent", "moved"]
    found: str | None
    pull_request: PullRequest | None = None
