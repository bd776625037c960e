"""Acts on a forge: what leaves the box is looked at in quarantine, what is approved is what is pushed."""

from collections.abc import Awaitable, Callable
from typing import Literal

from protocol.capability import RepositoryGrant
from protocol.errors import Refused
from protocol.forge import LeaseLost, Performed, PreparedPullRequest, PreparedPush
from protocol.noun import JSONObject
from records.blobs import BlobStore
from targets.forge.act import Act as ForgeAct
from targets.forge.act import perform, probe_act
from targets.forge.forges import Forge, Forges
from targets.target import Target
from worker.act import Doing, Prepared, Result, failure

BUNDLE_LIMIT = 64 * 1024 * 1024


class Hand:
    """`git_push` and `open_pull_request`: one exact move of the granted branch of the granted repository.

    The bundle that was prepared lies in the blob store, so that any worker can redeem it, box or no box.
    """

    def __init__(self, forges: Forges, blobs: BlobStore, target: Callable[[], Awaitable[Target]]) -> None:
        self._forges = forges
        self._blobs = blobs
        self._target = target

    async def prepare(self, doing: Doing) -> Prepared:
        grant = _grant(doing)
        forge = self._forges.resolve(f"{grant.forge}/{grant.repository}")
        target = await self._target()
        bundle = await target.take_bundle(base=grant.base_commit, ref=grant.branch, limit=BUNDLE_LIMIT)
        examined = await forge.quarantine.prepare(grant, bundle)
        push = examined.push
        self._blobs.put(bundle)
        act: ForgeAct = push
        if doing.execution.tool == "open_pull_request":
            act = PreparedPullRequest(
                push=push,
                base_branch=grant.base_branch,
                title=str(doing.execution.arguments["title"]),
                body=str(doing.execution.arguments["body"]),
            )
        kept: JSONObject = {"act": act.model_dump(mode="json"), "kind": _kind(act)}
        return Prepared(
            cwd="/workspace",
            push=push.facts,
            diff=self._blobs.put(examined.diff),
            kept=kept,
        )

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        forge, act = self._kept(doing, prepared)
        bundle = self._blobs.get(_push(act).bundle_digest)
        match await perform(forge, act, bundle):
            case LeaseLost(found=found):
                return failure(
                    f"git.lease_lost: the branch {_push(act).branch} was moved by somebody else "
                    f"(it is at {found or 'nothing'}); nothing was pushed"
                )
            case Performed() as done:
                return _told(forge, act, done)

    async def halt(self, doing: Doing) -> None:
        """A push is finished, not stopped half-way."""

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        """The forge itself knows how far the act came; what is left of it can be done safely."""
        forge, act = self._kept(doing, prepared)
        state = await probe_act(forge, act)
        if state.state == "done":
            done = Performed(commit=_push(act).new, pull_request=state.pull_request, repeated=True)
            return _told(forge, act, done)
        return await self.perform(doing, prepared, 2)

    def _kept(self, doing: Doing, prepared: Prepared) -> tuple[Forge, ForgeAct]:
        grant = _grant(doing)
        forge = self._forges.resolve(f"{grant.forge}/{grant.repository}")
        kind = prepared.kept["kind"]
        model = PreparedPush if kind == "push" else PreparedPullRequest
        return forge, model.model_validate(prepared.kept["act"])


def _grant(doing: Doing) -> RepositoryGrant:
    grant = doing.snapshot.document.repository
    if grant is None:
        raise Refused("git.no_repository", "this run has no repository")
    return grant


def _push(act: ForgeAct) -> PreparedPush:
    return act if isinstance(act, PreparedPush) else act.push


def _kind(act: ForgeAct) -> Literal["push", "pull_request"]:
    return "push" if isinstance(act, PreparedPush) else "pull_request"


def _told(forge: Forge, act: ForgeAct, done: Performed) -> Result:
    push = _push(act)
    effect: JSONObject = {
        "kind": _kind(act),
        "forge": forge.name,
        "repository": forge.repository,
        "branch": push.branch,
        "base_branch": push.base_branch,
        "commit": done.commit,
    }
    text = f"pushed {done.commit} to {push.branch} of {forge.repository}"
    if done.pull_request is not None:
        effect |= {"number": done.pull_request.number, "url": done.pull_request.url}
        text += f" and opened pull request {done.pull_request.number}: {done.pull_request.url}"
    return Result(text=text, effect=effect)
