"""What `rhone reconcile` says of pull requests on a real Gitea."""

from pathlib import Path
from typing import cast

import pytest

from cli.reconcile import forge as reconcile
from protocol.forge import Performed, PreparedPullRequest, PreparedPush, PullRequest
from protocol.ids import RunId, ToolExecutionId
from protocol.noun import JSONObject
from records.checks import Deed
from targets.forge.act import perform
from targets.forge.forges import Forge
from tests.conformance.forge_world import prepared_change
from tests.forge.conftest import GiteaWorld

pytestmark = pytest.mark.forge


async def handed_in(forge: Forge, push: PreparedPush, bundle: bytes) -> PullRequest:
    act = PreparedPullRequest(push=push, base_branch="main", title="Fix it", body="")
    done = await perform(forge, act, bundle)
    assert isinstance(done, Performed)
    assert done.pull_request is not None
    return done.pull_request


def deed(forge: Forge, push: PreparedPush, number: int) -> Deed:
    """As the ledger keeps it."""
    told = {
        "kind": "pull_request",
        "forge": forge.name,
        "repository": forge.repository,
        "branch": push.branch,
        "base_branch": "main",
        "commit": push.new,
        "number": number,
    }
    return Deed(
        RunId("run_1"), ToolExecutionId(f"tool_{number}"), "open_pull_request", cast(JSONObject, told)
    )


async def look(world: GiteaWorld, *deeds: Deed) -> list[str]:
    return [finding.text for finding in await reconcile.look(world.forges(), deeds)]


async def test_an_effect_whose_request_is_there_never_once_or_twice(
    world: GiteaWorld, tmp_path: Path
) -> None:
    forge = world.worker()
    push, bundle, started = await prepared_change(forge, tmp_path / "run")
    first = deed(forge, push, 1)
    assert await look(world, first) == [f"no pull request from {push.branch} at {push.new[:12]} is there"]
    assert (await handed_in(forge, push, bundle)).number == 1
    assert await look(world, first) == []
    world.open_from_fork(push.branch)
    assert await look(world, first) == [], "a fork's is not ours"

    world.close(1)
    again = await forge.api.open_pull_request(push.branch, "main", "once more", "")
    assert await look(world, first) == [f"pull request 1 is there 2 times: {again.number} is for the same"]

    started.box.commit({"more.txt": "more\n"}, "Fix more")
    more = started.out()
    second = (await forge.quarantine.prepare(started.grant, more)).push
    grown = await handed_in(forge, second, more)
    assert grown.number == again.number


async def test_more_pushes_to_a_request_and_a_new_one_after_a_closed_one_are_no_finding(
    world: GiteaWorld, tmp_path: Path
) -> None:
    forge = world.worker()
    push, bundle, started = await prepared_change(forge, tmp_path / "run")
    deeds = [deed(forge, push, (await handed_in(forge, push, bundle)).number)]
    for number in range(2):
        started.box.commit({f"more{number}.txt": "more\n"}, "Fix more")
        more = started.out()
        push = (await forge.quarantine.prepare(started.grant, more)).push
        deeds.append(deed(forge, push, (await handed_in(forge, push, more)).number))
        assert await look(world, *deeds) == []
        world.close(deeds[-1].result["number"])  # pyright: ignore[reportArgumentType]
        assert await look(world, *deeds) == []
    assert [one.result["number"] for one in deeds] == [1, 1, 2]
