"""What every forge does, whichever it is: the acts of a run, repeated, raced and resumed."""

import dataclasses
from pathlib import Path
from typing import Protocol

import pytest

from protocol.errors import Fault, Unavailable
from protocol.forge import (
    ActState,
    ForgeRepository,
    LeaseLost,
    Performed,
    PreparedPullRequest,
    PreparedPush,
    PullRequest,
    Pushed,
)
from targets.forge.act import perform, probe_act
from targets.forge.forges import Forge
from tests.conformance.forge_world import BRANCH, Tree, prepared_change


class World(Protocol):
    """A forge with the repository `demo`, one commit on `main`, and people beside us."""

    def worker(self) -> Forge:
        """The repository as a worker sees it that has nothing on its disk yet."""
        ...

    def remote_named(self, repository: str) -> Forge: ...

    def colleague(self) -> Tree:
        """Somebody else's fresh clone, who may push to `origin`."""
        ...

    def pull_requests(self) -> int: ...

    def merge(self, number: int) -> None: ...


class _Down:
    """A forge whose API died after the push."""

    async def repository(self) -> ForgeRepository:
        raise Unavailable("git.forge_unavailable", "down")

    async def find_pull_request(self, head: str, base: str, head_id: str) -> PullRequest | None:
        return None

    async def pull_requests(self, head: str, base: str) -> tuple[PullRequest, ...]:
        return ()

    async def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        raise Unavailable("git.forge_unavailable", "down")


def _request(push: PreparedPush, title: str = "Fix it") -> PreparedPullRequest:
    return PreparedPullRequest(push=push, base_branch="main", title=title, body="As asked.")


class ForgeSuite:
    """Inherit it, and give a `world` fixture."""

    async def test_it_tells_its_repository(self, world: World) -> None:
        forge = world.worker()
        assert await forge.api.repository() == ForgeRepository(name=forge.repository, default_branch="main")

    async def test_a_repository_that_is_not_there_is_named_in_the_fault(self, world: World) -> None:
        forge = world.remote_named("nothing")
        for ask in (forge.mirror.fetch("main"), forge.mirror.branch_head("main"), forge.api.repository()):
            with pytest.raises(Fault) as caught:
                await ask
            assert (caught.value.code, caught.value.param) == (
                "git.repository_not_found",
                "target.repo.remote",
            )

    async def test_a_base_that_is_not_there_is_named_in_the_fault(self, world: World) -> None:
        with pytest.raises(Fault) as caught:
            await world.worker().mirror.fetch("nothing")
        assert (caught.value.code, caught.value.param) == ("git.branch_not_found", "target.repo.base")

    async def test_an_act_is_done_once_however_often_it_is_begun(self, world: World, tmp_path: Path) -> None:
        forge = world.worker()
        push, bundle, _ = await prepared_change(forge, tmp_path / "run")
        act = _request(push)
        assert await probe_act(forge, act) == ActState(state="absent", found=None)

        first = await perform(forge, act, bundle)
        assert isinstance(first, Performed)
        assert first.pull_request is not None
        assert (first.commit, first.pull_request.head_id, first.repeated) == (push.new, push.new, False)
        assert (first.pull_request.head, first.pull_request.base) == (BRANCH, "main")

        second = await perform(world.worker(), act, bundle)
        assert second == first.model_copy(update={"repeated": True})
        assert await perform(forge, push, bundle) == Performed(commit=push.new, repeated=True)
        assert await forge.mirror.branch_head(BRANCH) == push.new
        assert world.pull_requests() == 1

    async def test_a_worker_that_died_between_push_and_pull_request_is_resumed(
        self, world: World, tmp_path: Path
    ) -> None:
        forge = world.worker()
        push, bundle, _ = await prepared_change(forge, tmp_path / "run")
        with pytest.raises(Unavailable):
            await perform(dataclasses.replace(forge, api=_Down()), _request(push), bundle)

        other = world.worker()
        assert await probe_act(other, _request(push)) == ActState(state="partial", found=push.new)
        resumed = await perform(other, _request(push), bundle)
        assert isinstance(resumed, Performed)
        assert not resumed.repeated
        assert (await probe_act(other, _request(push))).state == "done"
        assert world.pull_requests() == 1

    async def test_a_push_goes_on_at_another_worker_from_the_kept_bundle(
        self, world: World, tmp_path: Path
    ) -> None:
        push, bundle, _ = await prepared_change(world.worker(), tmp_path / "run")
        assert await world.worker().quarantine.redeem(push, bundle) == Pushed(commit=push.new)
        assert (await probe_act(world.worker(), push)).state == "done"

    async def test_a_branch_that_somebody_made_meanwhile_is_not_touched(
        self, world: World, tmp_path: Path
    ) -> None:
        forge = world.worker()
        push, bundle, _ = await prepared_change(forge, tmp_path / "run")
        theirs = _push_as_colleague(world, BRANCH)

        assert await probe_act(forge, push) == ActState(state="moved", found=theirs)
        assert await perform(forge, _request(push), bundle) == LeaseLost(found=theirs)
        assert await forge.quarantine.redeem(push, bundle) == LeaseLost(found=theirs)
        assert await forge.mirror.branch_head(BRANCH) == theirs
        assert world.pull_requests() == 0

    async def test_more_commits_on_a_pushed_branch_go_to_the_same_pull_request(
        self, world: World, tmp_path: Path
    ) -> None:
        forge = world.worker()
        push, bundle, started = await prepared_change(forge, tmp_path / "run")
        first = await perform(forge, _request(push), bundle)
        started.box.commit({"more.txt": "more\n"}, "Fix more")
        more = started.out()
        again = (await forge.quarantine.prepare(started.grant, more)).push
        assert (again.expected_old, again.base) == (push.new, push.base)

        second = await perform(forge, _request(again, "Fix more"), more)
        assert isinstance(first, Performed)
        assert isinstance(second, Performed)
        assert first.pull_request is not None
        assert second.pull_request == first.pull_request.model_copy(update={"head_id": again.new})
        assert world.pull_requests() == 1

    async def test_what_was_pushed_stays_done_when_others_go_on_from_it(
        self, world: World, tmp_path: Path
    ) -> None:
        forge = world.worker()
        push, bundle, _ = await prepared_change(forge, tmp_path / "run")
        await forge.quarantine.redeem(push, bundle)
        clone = world.colleague()
        clone.git("checkout", "-q", BRANCH)
        theirs = clone.commit({"theirs.txt": "more\n"}, "Go on")
        clone.git("push", "-q", "origin", BRANCH)

        assert await probe_act(world.worker(), push) == ActState(state="done", found=theirs)
        assert await probe_act(forge, _request(push)) == ActState(state="partial", found=theirs)
        opened = await perform(forge, _request(push), bundle)
        again = await perform(forge, _request(push), bundle)
        assert isinstance(opened, Performed)
        assert isinstance(again, Performed)
        assert opened.pull_request is not None
        assert (opened.pull_request.head_id, opened.pull_request) == (theirs, again.pull_request)
        assert world.pull_requests() == 1

    async def test_commits_of_others_on_the_branch_are_never_pushed_away(
        self, world: World, tmp_path: Path
    ) -> None:
        theirs = _push_as_colleague(world, BRANCH)
        with pytest.raises(Fault) as caught:
            await prepared_change(world.worker(), tmp_path / "run")
        assert caught.value.code == "git.rewrites_branch"
        assert await world.worker().mirror.branch_head(BRANCH) == theirs

    async def test_the_base_may_go_on_meanwhile(self, world: World, tmp_path: Path) -> None:
        push, bundle, _ = await prepared_change(world.worker(), tmp_path / "run")
        _push_as_colleague(world, "main")
        outcome = await perform(world.worker(), _request(push), bundle)
        assert isinstance(outcome, Performed)

    async def test_a_name_ending_like_the_branch_is_another_branch(self, world: World) -> None:
        _push_as_colleague(world, f"other/refs/heads/{BRANCH}")
        assert await world.worker().mirror.branch_head(BRANCH) is None

    async def test_a_merged_request_is_still_the_one_that_was_opened(
        self, world: World, tmp_path: Path
    ) -> None:
        """The branch is removed after the merge, as forges offer it; the act stays done."""
        forge = world.worker()
        push, bundle, _ = await prepared_change(forge, tmp_path / "run")
        first = await perform(forge, _request(push), bundle)
        assert isinstance(first, Performed)
        assert first.pull_request is not None
        world.merge(first.pull_request.number)
        world.colleague().git("push", "-q", "origin", f":refs/heads/{BRANCH}")
        state = await probe_act(world.worker(), _request(push))
        assert (state.state, state.found) == ("done", None)
        assert state.pull_request is not None
        assert state.pull_request.state == "merged"

    async def test_all_requests_of_a_branch_are_listed_the_newest_first(
        self, world: World, tmp_path: Path
    ) -> None:
        forge = world.worker()
        assert await forge.api.pull_requests(BRANCH, "main") == ()
        other = world.worker()
        others, bundle, _ = await prepared_change(other, tmp_path / "other", "rhone/other")
        await perform(other, _request(others), bundle)
        push, bundle, started = await prepared_change(forge, tmp_path / "run")
        first = await perform(forge, _request(push), bundle)
        assert isinstance(first, Performed)
        assert first.pull_request is not None
        assert await forge.api.pull_requests(BRANCH, "main") == (first.pull_request,)

        world.merge(first.pull_request.number)
        started.box.commit({"more.txt": "more\n"}, "Fix more")
        more = started.out()
        again = (await forge.quarantine.prepare(started.grant, more)).push
        second = await perform(forge, _request(again, "Fix more"), more)
        assert isinstance(second, Performed)
        assert second.pull_request is not None
        listed = await forge.api.pull_requests(BRANCH, "main")
        assert [(one.number, one.state) for one in listed] == [
            (second.pull_request.number, "open"),
            (first.pull_request.number, "merged"),
        ]
        assert listed[0].head_id == again.new


def _push_as_colleague(world: World, branch: str) -> str:
    clone = world.colleague()
    commit = clone.commit({"theirs.txt": f"for {branch}\n"}, "Theirs")
    clone.git("push", "-q", "origin", f"HEAD:refs/heads/{branch}")
    return commit
