"""A directory that stands for a forge, and workers beside it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.config import ForgeEntry
from protocol.secret import SecretRef
from targets.forge.forges import Forge, Forges
from targets.forge.git import GitLimits
from targets.forge.quarantine import PushLimits
from tests.conformance.forge_world import Tree, git

_TOKEN = SecretRef(kind="env", name="FORGE_TOKEN")


class DirectoryWorld:
    """`forge/acme/demo` in a directory."""

    def __init__(self, root: Path, pristine: Path) -> None:
        self.root = root
        self.origin = root / "forge" / "acme" / "demo.git"
        self._made = 0
        shutil.copytree(pristine, self.origin)

    def forges(
        self,
        data: Path | None = None,
        *,
        allow_file: bool = True,
        git_limits: GitLimits | None = None,
        push_limits: PushLimits | None = None,
    ) -> Forges:
        entry = ForgeEntry(kind="directory", url=f"file://{self.root}/forge", tokenRef=_TOKEN, owner="acme")
        return Forges(
            {"forge": entry},
            lambda ref: "unused",
            data or self._fresh("data"),
            allow_file=allow_file,
            git_limits=git_limits or GitLimits(),
            push_limits=push_limits or PushLimits(),
        )

    def worker(self) -> Forge:
        return self.forges().resolve("forge/demo")

    def remote_named(self, repository: str) -> Forge:
        return self.forges().resolve(f"forge/{repository}")

    def colleague(self) -> Tree:
        clone = self._fresh("colleague")
        git(self.root, "clone", "-q", str(self.origin), str(clone))
        return Tree(clone)

    def pull_requests(self) -> int:
        file = self.origin.with_name("demo.pulls.json")
        return file.read_text().count('"number"') if file.exists() else 0

    def merge(self, number: int) -> None:
        file = self.origin.with_name("demo.pulls.json")
        rows = json.loads(file.read_text())
        rows[number - 1]["state"] = "merged"
        file.write_text(json.dumps(rows))

    def _fresh(self, name: str) -> Path:
        self._made += 1
        return self.root / f"{name}-{self._made}"


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The repository with its first commit, which every world begins with a copy of."""
    root = tmp_path_factory.mktemp("pristine")
    origin, first = root / "demo.git", Tree(root / "first")
    git(root, "init", "-q", "--bare", "--template=", "-b", "main", str(origin))
    git(root, "init", "-q", "--template=", "-b", "main", "first")
    first.commit({"README.md": "demo\n", "src/app.py": "print('one')\n"}, "Begin")
    first.git("push", "-q", str(origin), "main")
    return origin


@pytest.fixture
def world(tmp_path: Path, pristine: Path) -> DirectoryWorld:
    return DirectoryWorld(tmp_path / "world", pristine)


@pytest.fixture
def forge(world: DirectoryWorld) -> Forge:
    return world.worker()


Limited = Callable[[PushLimits], Forge]


@pytest.fixture
def limited(world: DirectoryWorld) -> Limited:
    return lambda limits: world.forges(push_limits=limits).resolve("forge/demo")
