"""A stand-in for a box and for the people around a forge: plain git in scratch directories."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from protocol.capability import RepositoryGrant
from protocol.forge import PreparedPush
from targets.forge.forges import Forge

BRANCH = "rhone/fix"
_WHO = ("-c", "user.name=somebody", "-c", "user.email=somebody@example.com", "-c", "init.defaultBranch=main")


def git(directory: Path, *arguments: str, stdin: bytes = b"") -> str:
    command = ["git", *_WHO, "-c", "protocol.file.allow=always", *arguments]
    done = subprocess.run(command, cwd=directory, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode(errors="replace").strip()


class Tree:
    """A work tree: the agent's in its box, or another person's clone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def commit(self, files: dict[str, str], message: str = "Change it") -> str:
        for name, text in files.items():
            path = self.directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            self.git("add", "--", name)
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, entries: bytes, message: str = "Odd tree") -> str:
        """A commit whose tree is these very bytes, which no ordinary git would write; HEAD moves there."""
        tree = self.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=entries)
        commit = self.git("commit-tree", tree, "-p", "HEAD", "-m", message)
        self.git("update-ref", "HEAD", commit)
        return commit

    def blob(self, text: str) -> bytes:
        return bytes.fromhex(self.git("hash-object", "-w", "--stdin", stdin=text.encode()))

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        return git(self.directory, *arguments, stdin=stdin)

    def bundle(self, *revisions: str) -> bytes:
        file = self.directory.parent / f"{self.directory.name}.out"
        self.git("bundle", "create", "-q", str(file), *revisions)
        return file.read_bytes()


@dataclass
class Started:
    """A run's beginning: the grant, and the box seeded from the mirror, on the granted branch."""

    grant: RepositoryGrant
    box: Tree

    def out(self) -> bytes:
        """What the box hands out for a push."""
        return self.box.bundle(f"{self.grant.base_commit}..{self.grant.branch}")


async def start(forge: Forge, scratch: Path, branch: str = BRANCH) -> Started:
    base = await forge.mirror.fetch("main")
    scratch.mkdir(parents=True, exist_ok=True)
    seed = scratch / "seed.bundle"
    seed.write_bytes(await forge.mirror.bundle_for(base, "main"))
    git(scratch, "clone", "-q", "-b", "main", str(seed), "box")
    box = Tree(scratch / "box")
    box.git("remote", "remove", "origin")
    box.git("checkout", "-q", "-b", branch)
    grant = RepositoryGrant(
        forge=forge.name, repository=forge.repository, base_branch="main", base_commit=base, branch=branch
    )
    return Started(grant, box)


async def prepared_change(
    forge: Forge, scratch: Path, branch: str = BRANCH
) -> tuple[PreparedPush, bytes, Started]:
    """A run that changed one file and asks to push it."""
    started = await start(forge, scratch, branch)
    started.box.commit({"fix.txt": "fixed\n"}, "Fix it")
    bundle = started.out()
    return (await forge.quarantine.prepare(started.grant, bundle)).push, bundle, started


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    """Wait until something is so; fail when it takes too long."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not become so in time"
        time.sleep(0.05)
