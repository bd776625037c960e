"""The GitHub adapter against the documented shapes of its API."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from protocol.config import ForgeEntry
from protocol.errors import Fault, InvalidRequest, RateLimited, Unavailable
from protocol.forge import PreparedPullRequest
from protocol.secret import SecretRef
from targets.forge.act import perform
from targets.forge.forges import Forge, Forges
from tests.conformance.forge_suite import ForgeSuite
from tests.conformance.forge_world import Tree, git, prepared_change
from tests.unit.targets_forge.conftest import DirectoryWorld
from tests.unit.targets_forge.github_stand_in import GitHubStandIn
from tests.unit.targets_forge.served import TOKEN, Served, serving

pytestmark = pytest.mark.slow


class GitHubWorld:
    """Git over HTTP and the REST API behind one address, as an enterprise server has them."""

    def __init__(self, behind: DirectoryWorld, served: Served) -> None:
        self._behind = behind
        self.served = served
        self.api = GitHubStandIn(behind)
        served.api = self.api
        self._workers = 0

    def remote_named(self, repository: str) -> Forge:
        self._workers += 1
        entry = ForgeEntry(kind="github", url=self.served.url, tokenRef=SecretRef(kind="env", name="X"))
        data = self._behind.root / f"worker-{self._workers}"
        return Forges({"gh": entry}, lambda ref: TOKEN, data).resolve(f"gh/acme/{repository}")

    def worker(self) -> Forge:
        return self.remote_named("demo")

    def colleague(self) -> Tree:
        return self._behind.colleague()

    def pull_requests(self) -> int:
        return len(self.api.pulls)

    def merge(self, number: int) -> None:
        self.api.merge(number)


@pytest.fixture
def world(tmp_path: Path, pristine: Path) -> Iterator[GitHubWorld]:
    behind = DirectoryWorld(tmp_path / "world", pristine)
    git(behind.origin, "config", "http.receivepack", "true")
    with serving(behind.root / "forge") as served:
        yield GitHubWorld(behind, served)


class TestGitHub(ForgeSuite):
    """With the `world` of this file."""


async def test_a_refusal_is_told_in_its_words(world: GitHubWorld, tmp_path: Path) -> None:
    forge = world.worker()
    push, bundle, _ = await prepared_change(forge, tmp_path / "run")
    act = PreparedPullRequest(push=push, base_branch="nowhere", title="t", body="b")
    with pytest.raises(InvalidRequest, match="Validation Failed") as caught:
        await perform(forge, act, bundle)
    assert caught.value.code == "git.forge_refused"


@pytest.mark.slow
async def test_a_list_is_read_to_its_end_however_short_its_pages_are(
    world: GitHubWorld, tmp_path: Path
) -> None:
    forge = world.worker()
    push, bundle, _ = await prepared_change(forge, tmp_path / "run")
    act = PreparedPullRequest(push=push, base_branch="main", title="t", body="b")
    await perform(forge, act, bundle)
    for number in range(1, 5):
        world.merge(number)
        await forge.api.open_pull_request(push.branch, "main", "again", "")
    for size in (1, 2, 3, 5, 100):
        world.api.page_size = size
        listed = await forge.api.pull_requests(push.branch, "main")
        assert [one.number for one in listed] == [5, 4, 3, 2, 1]
    assert await forge.api.find_pull_request(push.branch, "main", "0" * 40) is None


@pytest.mark.parametrize(
    ("status", "headers", "kind", "retry_after"),
    [
        (403, {"x-ratelimit-remaining": "0"}, RateLimited, None),
        (403, {"retry-after": "60"}, RateLimited, 60.0),
        (429, {"retry-after": "7"}, RateLimited, 7.0),
        (429, {"retry-after": "Wed, 21 Oct 2026 07:28:00 GMT"}, RateLimited, None),
        (502, {"retry-after": "3"}, Unavailable, 3.0),
    ],
)
async def test_a_forge_says_when_to_come_back(
    world: GitHubWorld, status: int, headers: dict[str, str], kind: type[Fault], retry_after: float | None
) -> None:
    world.served.api = lambda method, path, body: (status, {"message": "later"})
    world.served.headers = headers
    with pytest.raises(kind) as caught:
        await world.worker().api.repository()
    assert (caught.value.retryable, caught.value.retry_after) == (True, retry_after)


@pytest.mark.parametrize("answer", [[], {}, {"full_name": 1}, "text", None])
async def test_what_answers_in_a_forge_s_place_is_no_forge(world: GitHubWorld, answer: object) -> None:
    world.served.api = lambda method, path, body: (200, answer)
    with pytest.raises(Unavailable, match="shape"):
        await world.worker().api.repository()


async def test_an_answer_is_never_endless(world: GitHubWorld) -> None:
    world.served.api = lambda method, path, body: (200, "x" * (17 * 1024 * 1024))
    with pytest.raises(Unavailable, match="more than"):
        await world.worker().api.repository()
