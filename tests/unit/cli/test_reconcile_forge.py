"""Whether what the ledger calls done is on the forge, asked of a forge made for the test."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

from cli.reconcile import forge
from cli.reconcile.findings import Finding, lasting
from protocol.errors import InvalidRequest, Unavailable
from protocol.forge import PullRequest
from protocol.ids import RunId, ToolExecutionId
from records.checks import Deed

COMMIT, OTHER = "a" * 40, "b" * 40


def deed(kind: str = "pull_request", **fields: Any) -> Deed:
    told = {
        "kind": kind,
        "forge": "forge",
        "repository": "o/r",
        "branch": "rhone/x",
        "base_branch": "main",
        "commit": COMMIT,
        "number": 1,
    }
    return Deed(RunId("run_1"), ToolExecutionId("tool_1"), kind, {**told, **fields})


def pull(number: int, head_id: str = COMMIT, state: Any = "open") -> PullRequest:
    return PullRequest(
        number=number, url="http://f/1", head="rhone/x", base="main", head_id=head_id, state=state
    )


class World:
    """A forge with one repository: its pull requests, where its branches are, what they hold."""

    def __init__(
        self, pulls: Sequence[PullRequest], heads: dict[str, str], history: dict[str, set[str]]
    ) -> None:
        self._pulls, self._heads, self._history = pulls, heads, history
        self._fetched: set[str] = set()
        self.asked = 0

    def resolve(self, remote: str) -> Any:
        assert remote == "forge/o/r"
        return SimpleNamespace(api=self, mirror=self)

    async def pull_requests(self, head: str, base: str) -> tuple[PullRequest, ...]:
        self.asked += 1
        return tuple(one for one in self._pulls if (one.head, one.base) == (head, base))

    async def branch_head(self, branch: str) -> str | None:
        return self._heads.get(branch)

    async def fetch(self, branch: str) -> str:
        if branch not in self._history:
            raise InvalidRequest("git.branch_not_found", branch)
        self._fetched |= self._history[branch]
        return self._heads[branch]

    async def has(self, commit: str) -> bool:
        return commit in self._fetched


class Away:
    def resolve(self, remote: str) -> Any:
        raise Unavailable("git.forge_unavailable", "nobody there")


async def look(world: Any, *deeds: Deed) -> list[str]:
    return [finding.text for finding in await forge.look(world, deeds)]


async def test_a_pull_request_that_is_there_is_no_finding() -> None:
    assert await look(World([pull(1)], {}, {}), deed()) == []


async def test_a_pull_request_that_is_not_there_is_found() -> None:
    told = [f"no pull request from rhone/x at {COMMIT[:12]} is there"]
    assert await look(World([], {}, {}), deed()) == told
    assert await look(World([pull(2, OTHER)], {}, {}), deed()) == told


async def test_another_pull_request_for_the_same_commit_is_found() -> None:
    assert await look(World([pull(2)], {}, {}), deed()) == [
        "pull request 1 was opened, and 2 is there for the same"
    ]


async def test_a_pull_request_that_is_there_more_than_once_is_found() -> None:
    twice = [pull(3), pull(2, state="closed"), pull(1, state="closed")]
    assert await look(World(twice, {}, {}), deed()) == [
        "pull request 1 is there 3 times: 2, 3 is for the same"
    ]


async def test_more_pushes_to_the_same_open_pull_request_are_no_finding() -> None:
    """It went on with its branch; both acts were told the same number."""
    world = World([pull(1, OTHER)], {"rhone/x": OTHER}, {"rhone/x": {COMMIT, OTHER}})
    assert await look(world, deed(), deed(commit=OTHER)) == []
    assert world.asked == 1


async def test_a_pull_request_whose_branch_lost_the_commit_is_found() -> None:
    world = World([pull(1, OTHER)], {"rhone/x": OTHER, "main": OTHER}, {"rhone/x": {OTHER}, "main": {OTHER}})
    assert await look(world, deed()) == [f"{COMMIT[:12]} is on neither rhone/x nor main"]


async def test_a_closed_one_that_is_shown_where_its_branch_is_now_is_no_twin() -> None:
    world = World([pull(2, OTHER), pull(1, OTHER, state="closed")], {}, {})
    assert await look(world, deed(), deed(commit=OTHER, number=2)) == []
    merged = World([pull(1, OTHER, state="merged")], {}, {})
    assert await look(merged, deed()) == []


async def test_a_push_is_on_its_branch_or_in_the_history_of_one() -> None:
    push = deed("push")
    assert await look(World([], {"rhone/x": COMMIT}, {}), push) == []
    assert await look(World([], {"rhone/x": OTHER}, {"rhone/x": {COMMIT, OTHER}}), push) == []
    assert await look(World([], {"main": OTHER}, {"main": {COMMIT, OTHER}}), push) == []
    assert await look(World([], {"main": OTHER}, {"main": {OTHER}}), push) == [
        f"{COMMIT[:12]} is on neither rhone/x nor main"
    ]


async def test_a_forge_that_is_away_is_a_finding_and_no_crash() -> None:
    assert await look(Away(), deed()) == ["the forge could not be asked: nobody there"]


async def test_only_what_stays_broken_is_told() -> None:
    passing, staying = Finding("runs", "run_1", "x"), Finding("runs", "run_2", "x")
    looks = iter([[passing, staying], [staying, Finding("boxes", "b", "new")], [staying], [staying]])

    async def once() -> list[Finding]:
        return next(looks, [staying])

    assert await lasting(once, 1.2) == [staying]


async def test_a_sound_stack_is_looked_at_once() -> None:
    looks: list[int] = []

    async def once() -> list[Finding]:
        looks.append(1)
        return []

    assert await lasting(once, 60) == []
    assert len(looks) == 1
