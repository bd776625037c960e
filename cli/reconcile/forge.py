"""Whether what the ledger calls done is on the forge, and there once."""

from collections.abc import Sequence
from typing import cast

from cli.reconcile.findings import Finding
from protocol.errors import Fault
from records.checks import Deed
from targets.forge.forges import Forge, Forges


async def look(forges: Forges, deeds: Sequence[Deed]) -> list[Finding]:
    found: list[Finding] = []
    for deed in deeds:
        try:
            text = await _missing(forges, deed)
        except Fault as fault:
            text = f"the forge could not be asked: {fault.message}"
        if text is not None:
            found.append(Finding("forge", deed.tool_execution_id, text))
    return found


async def _missing(forges: Forges, deed: Deed) -> str | None:
    told = cast(dict[str, str], deed.result)
    forge = forges.resolve(f"{told['forge']}/{told['repository']}")
    if deed.result.get("kind") == "pull_request":
        return await _pull_request(forge, deed, told)
    if await forge.mirror.branch_head(told["branch"]) == told["commit"]:
        return None
    return await _moved_on(forge, told)


async def _pull_request(forge: Forge, deed: Deed, told: dict[str, str]) -> str | None:
    there = await forge.api.find_pull_request(told["branch"], told["base_branch"], told["commit"])
    if there is None:
        return f"no pull request from {told['branch']} at {told['commit'][:12]} is there"
    if there.number != deed.result["number"]:
        return f"pull request {deed.result['number']} was opened, and {there.number} is there for the same"
    return None


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
