"""The exact acts on a forge, each safe to begin again: what stands there decides what is left to do."""

from protocol.forge import (
    ActState,
    ForgeOutcome,
    LeaseLost,
    Performed,
    PreparedPullRequest,
    PreparedPush,
    PullRequest,
)
from targets.forge.forges import Forge

Act = PreparedPush | PreparedPullRequest


async def probe_act(forge: Forge, prepared: Act) -> ActState:
    """How far the act is; a look, which changes nothing."""
    push = _push_of(prepared)
    pull_request = await _existing(forge, prepared)
    found = await forge.mirror.branch_head(push.branch)
    if pull_request is not None:
        return ActState(state="done", found=found, pull_request=pull_request)
    if found == push.new:
        return ActState(state="done" if prepared is push else "partial", found=found)
    if found == push.expected_old:
        return ActState(state="absent", found=found)
    # Somebody may have gone on from where an earlier try of ours left the branch.
    if found is not None and await forge.mirror.holds(push.branch, push.new):
        return ActState(state="done" if prepared is push else "partial", found=found)
    return ActState(state="moved", found=found)


async def perform(forge: Forge, prepared: Act, bundle: bytes) -> ForgeOutcome:
    """Do what is left of the act; where the branch was moved by somebody else, nothing is done."""
    push = _push_of(prepared)
    before = await probe_act(forge, prepared)
    match before.state:
        case "done":
            return Performed(commit=push.new, pull_request=before.pull_request, repeated=True)
        case "moved":
            return LeaseLost(found=before.found)
        case "absent":
            result = await forge.quarantine.redeem(push, bundle)
            if isinstance(result, LeaseLost):
                return result
        case "partial":
            pass
    if isinstance(prepared, PreparedPush):
        return Performed(commit=push.new)
    opened = await forge.api.open_pull_request(
        push.branch, prepared.base_branch, prepared.title, prepared.body
    )
    return Performed(commit=push.new, pull_request=opened)


def _push_of(prepared: Act) -> PreparedPush:
    return prepared if isinstance(prepared, PreparedPush) else prepared.push


async def _existing(forge: Forge, prepared: Act) -> PullRequest | None:
    if isinstance(prepared, PreparedPush):
        return None
    push = prepared.push
    return await forge.api.find_pull_request(push.branch, prepared.base_branch, push.new)
