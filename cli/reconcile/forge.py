"""Whether what the ledger calls done is on the forge, and there once."""

from collections.abc import Sequence
from typing import cast

from cli.reconcile.findings import Finding
from protocol.errors import Fault
from protocol.forge import PullRequest
from records.checks import Deed
from targets.forge.forges import Forge, Forges

Branches = tuple[str, ...]
"""What was done on a forge (a push, a pull request), in which repository, from which branch to which."""


async def look(forges: Forges, deeds: Sequence[Deed]) -> list[Finding]:
    found: list[Finding] = []
    listed: dict[Branches, tuple[PullRequest, ...]] = {}
    for deed in deeds:
        try:
            text = await _fault(forges, deed, deeds, listed)
        except Fault as fault:
            text = f"the forge could not be asked: {fault.message}"
        if text is not None:
            found.append(Finding("forge", deed.tool_execution_id, text))
    return found


async def _fault(
    forges: Forges,
    deed: Deed,
    deeds: Sequence[Deed],
    listed: dict[Branches, tuple[PullRequest, ...]],
) -> str | None:
    told = _told(deed)
    forge = forges.resolve(f"{told['forge']}/{told['repository']}")
    if deed.result.get("kind") == "pull_request":
        branches = _branches(deed)
        if branches not in listed:
            listed[branches] = await forge.api.pull_requests(told["branch"], told["base_branch"])
        others = [
            one for one in deeds if _branches(one) == branches and _told(one)["commit"] != told["commit"]
        ]
        return await _pull_request(forge, deed, others, listed[branches])
    if await forge.mirror.branch_head(told["branch"]) == told["commit"]:
        return None
    return await _moved_on(forge, told)


async def _pull_request(
    forge: Forge, deed: Deed, others: Sequence[Deed], there: Sequence[PullRequest]
) -> str | None:
    """Its own one goes on with its branch. Another one at its commit is a second one for the same, but for
    those of other commits: some forges show a closed one where its branch is now."""
    told, number = _told(deed), deed.result["number"]
    of_others = [other.result.get("number") for other in others]
    own = next((one for one in there if one.number == number), None)
    twins = [one.number for one in there if one.head_id == told["commit"] and one.number not in of_others]
    twins = sorted(twin for twin in twins if twin != number)
    if own is None and not twins:
        return f"no pull request from {told['branch']} at {told['commit'][:12]} is there"
    if own is None:
        return f"pull request {number} was opened, and {_numbers(twins)} is there for the same"
    if twins:
        return f"pull request {number} is there {len(twins) + 1} times: {_numbers(twins)} is for the same"
    if own.state != "open" or own.head_id == told["commit"]:
        return None
    return await _moved_on(forge, told)


def _told(deed: Deed) -> dict[str, str]:
    return cast(dict[str, str], deed.result)


def _branches(deed: Deed) -> Branches:
    told = _told(deed)
    return told["kind"], told["forge"], told["repository"], told["branch"], told["base_branch"]


def _numbers(found: Sequence[int]) -> str:
    return ", ".join(map(str, found))


async def _moved_on(forge: Forge, told: dict[str, str]) -> str | None:
    """A branch may have grown, or gone after a merge: the commit is in its history or in the base's."""
    for branch in (told["branch"], told["base_branch"]):
        try:
            await forge.mirror.fetch(branch)
        except Fault:
            continue
        if await forge.mirror.has(told["commit"]):
            return None
    return f"{told['commit'][:12]} is on neither {told['branch']} nor {told['base_branch']}"
