"""A real Gitea does what every forge does; and its own ways."""

from pathlib import Path

import pytest

from protocol.errors import Fault, Forbidden
from protocol.forge import Performed, PreparedPullRequest
from targets.forge.act import perform, probe_act
from tests.conformance.forge_suite import ForgeSuite
from tests.conformance.forge_world import prepared_change
from tests.forge.conftest import GiteaWorld

pytestmark = pytest.mark.forge


class TestGitea(ForgeSuite):
    """With the `world` of this folder."""


async def test_a_token_that_the_forge_does_not_know_is_refused_everywhere(world: GiteaWorld) -> None:
    forge = world.forges("0" * 40).resolve(f"forge/{world.name}")
    for ask in (forge.mirror.fetch("main"), forge.mirror.branch_head("main"), forge.api.repository()):
        with pytest.raises(Forbidden) as caught:
            await ask
        assert (caught.value.code, caught.value.param) == ("git.auth_failed", "target.repo.remote")


async def test_branches_with_slashes_are_found_again_among_many_requests(
    world: GiteaWorld, tmp_path: Path
) -> None:
    forge = world.worker()
    world.colleague().git("push", "-q", "origin", "HEAD:refs/heads/release/1.x")
    acts: list[tuple[PreparedPullRequest, bytes, int]] = []
    for number in range(3):
        branch = f"rhone/topic/{number}"
        push, bundle, _ = await prepared_change(forge, tmp_path / branch, branch)
        act = PreparedPullRequest(push=push, base_branch="release/1.x", title=branch, body="")
        outcome = await perform(forge, act, bundle)
        assert isinstance(outcome, Performed)
        assert outcome.pull_request is not None
        acts.append((act, bundle, outcome.pull_request.number))
    for act, bundle, number in acts:
        again = await perform(forge, act, bundle)
        assert isinstance(again, Performed)
        assert again.pull_request is not None
        assert (again.repeated, again.pull_request.number) == (True, number)
    # Asking to open one that is open already answers with it.
    first = acts[0][0]
    there = await forge.api.open_pull_request(first.push.branch, "release/1.x", "again", "")
    assert there.number == acts[0][2]
    assert world.pull_requests() == 3


async def test_a_request_from_a_fork_is_not_ours(world: GiteaWorld, tmp_path: Path) -> None:
    forge = world.worker()
    push, bundle, _ = await prepared_change(forge, tmp_path / "run")
    await perform(forge, push, bundle)
    world.open_from_fork(push.branch)
    assert world.pull_requests() == 1
    assert await forge.api.find_pull_request(push.branch, "main", push.new) is None
    act = PreparedPullRequest(push=push, base_branch="main", title="t", body="b")
    await perform(forge, act, bundle)
    assert world.pull_requests() == 2


async def test_the_token_lies_nowhere_on_the_disk(world: GiteaWorld, tmp_path: Path) -> None:
    forge = world.worker()
    push, bundle, _ = await prepared_change(forge, tmp_path / "run")
    await perform(forge, PreparedPullRequest(push=push, base_branch="main", title="t", body="b"), bundle)
    written = [path.read_bytes() for path in world.root.glob("data-*/**/*") if path.is_file()]
    assert written
    assert not any(world.gitea.token.encode() in data for data in written)


async def test_a_protected_branch_is_the_forge_s_own_no(world: GiteaWorld, tmp_path: Path) -> None:
    world.protect("rhone/*")
    push, bundle, _ = await prepared_change(world.worker(), tmp_path / "run")
    with pytest.raises(Fault) as caught:
        await perform(world.worker(), push, bundle)
    assert caught.value.code == "git.push_refused"
    assert "protected branch" in caught.value.message
    assert (await probe_act(world.worker(), push)).state == "absent"


async def test_a_pull_request_that_the_forge_refuses_is_told_in_its_words(
    world: GiteaWorld, tmp_path: Path
) -> None:
    push, bundle, _ = await prepared_change(world.worker(), tmp_path / "run")
    act = PreparedPullRequest(push=push, base_branch="nowhere", title="t", body="b")
    with pytest.raises(Fault) as caught:
        await perform(world.worker(), act, bundle)
    assert not caught.value.retryable
    assert world.pull_requests() == 0
