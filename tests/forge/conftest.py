"""A real Gitea for these tests: started once, a private repository for each test."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import httpx2
import pytest

from cli.gitea import Gitea
from cli.setup.settings import SetupSettings
from protocol.config import ForgeEntry
from protocol.secret import SecretRef
from targets.forge.forges import Forge, Forges
from tests.conformance.forge_world import Tree, git, until

_NUMBERS = count(1)


class GiteaWorld:
    """A private repository on a real forge; the worker's credential opens it, and nothing else does."""

    def __init__(self, gitea: Gitea, root: Path) -> None:
        self.gitea = gitea
        self.root = root
        self.name = f"demo-{next(_NUMBERS)}"
        self.owner = gitea.admin_user
        files = {"README.md": "demo\n", "src/app.py": "print('one')\n"}
        gitea.create_repository(self.name, files, private=True)
        self._made = 0

    def forges(self, token: str | None = None) -> Forges:
        reference = SecretRef(kind="file", name="forge.token")
        entry = ForgeEntry(kind="gitea", url=self.gitea.url, tokenRef=reference, owner=self.owner)
        secrets = {reference.name: token or self.gitea.token}
        return Forges({"forge": entry}, lambda ref: secrets[ref.name], self._fresh("data"))

    def worker(self) -> Forge:
        return self.forges().resolve(f"forge/{self.name}")

    def remote_named(self, repository: str) -> Forge:
        return self.forges().resolve(f"forge/{repository}")

    def colleague(self) -> Tree:
        clone = self._fresh("colleague")
        address = self.gitea.url.replace("://", f"://{self.owner}:{self.gitea.token}@")
        git(self.root, "clone", "-q", f"{address}/{self.owner}/{self.name}.git", str(clone))
        return Tree(clone)

    def pull_requests(self) -> int:
        return len(self.gitea.pull_requests(self.owner, self.name))

    def merge(self, number: int) -> None:
        """Gitea looks for conflicts in the background, and does not merge before it has."""
        until(lambda: self._post(f"/pulls/{number}/merge", {"Do": "merge"}))

    def close(self, number: int) -> None:
        assert self._call(f"/repos/{self.owner}/{self.name}/pulls/{number}", {"state": "closed"}, "PATCH")

    def protect(self, pattern: str) -> None:
        assert self._post("/branch_protections", {"rule_name": pattern, "enable_push": False})

    def open_from_fork(self, branch: str) -> None:
        """The same branch with the same commits, of another owner."""
        other = f"other-{self.name}"
        assert self._call("/orgs", {"username": other})
        assert self._post("/forks", {"organization": other})
        draft: dict[str, object] = {"head": f"{other}:{branch}", "base": "main", "title": "Fork"}
        until(lambda: self._post("/pulls", draft))

    def _post(self, path: str, body: dict[str, object]) -> bool:
        return self._call(f"/repos/{self.owner}/{self.name}{path}", body)

    def _call(self, path: str, body: dict[str, object], method: str = "POST") -> bool:
        headers = {"Authorization": f"token {self.gitea.token}"}
        url = f"{self.gitea.url}/api/v1{path}"
        answer = httpx2.request(method, url, json=body, headers=headers, timeout=30)
        return answer.is_success

    def _fresh(self, name: str) -> Path:
        self._made += 1
        return self.root / f"{name}-{self._made}"


@pytest.fixture(scope="session")
def gitea(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gitea]:
    with Gitea.start(tmp_path_factory.mktemp("gitea"), SetupSettings().data / "cache") as gitea:
        yield gitea


@pytest.fixture
def world(gitea: Gitea, tmp_path: Path) -> GiteaWorld:
    root = tmp_path / "world"
    root.mkdir()
    return GiteaWorld(gitea, root)
