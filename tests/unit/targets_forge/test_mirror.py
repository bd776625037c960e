"""Mirrors: shared by workers, growing only, and clean after a death in the middle."""

import asyncio
import random
from pathlib import Path

import pytest

from protocol.errors import Fault, InvalidRequest
from targets.forge.git import Git, GitLimits, Remote
from targets.forge.mirror import Mirror
from tests.conformance.forge_world import Tree, git
from tests.unit.targets_forge.conftest import DirectoryWorld


async def test_many_workers_share_one_mirror(world: DirectoryWorld, tmp_path: Path) -> None:
    commit = git(world.origin, "rev-parse", "main")
    workers = [world.forges(tmp_path / "data").resolve("forge/demo") for _ in range(6)]
    assert await asyncio.gather(*(worker.mirror.fetch("main") for worker in workers)) == [commit] * 6
    assert [path.name for path in (tmp_path / "data/mirrors/forge/acme").iterdir() if path.is_dir()] == [
        "demo.git"
    ]


async def test_what_a_killed_fetch_left_does_not_stand_in_the_way(
    world: DirectoryWorld, tmp_path: Path
) -> None:
    mirror = world.forges(tmp_path / "data").resolve("forge/demo").mirror
    await mirror.fetch("main")
    left = [
        *(mirror.directory / name for name in ("packed-refs.lock", "refs/heads/main.lock")),
        mirror.directory / "objects" / "pack" / "tmp_pack_XYZ",
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    clone = world.colleague()
    commit = clone.commit({"more.txt": "more\n"})
    clone.git("push", "-q", "origin", "main")
    assert await mirror.fetch("main") == commit
    assert not any(path.exists() for path in left)


async def test_a_rewritten_base_keeps_the_commits_that_runs_began_from(
    world: DirectoryWorld, tmp_path: Path
) -> None:
    mirror = world.forges(tmp_path / "data").resolve("forge/demo").mirror
    before = await mirror.fetch("main")
    clone = world.colleague()
    clone.git("commit", "-q", "--amend", "-m", "Rewritten")
    clone.git("push", "-q", "-f", "origin", "main")
    assert await mirror.fetch("main") != before
    await mirror.require(before, "main")
    with pytest.raises(InvalidRequest) as caught:
        await world.worker().mirror.require(before, "main")
    assert caught.value.code == "git.clone_failed"


async def test_the_seed_holds_the_whole_history_and_nothing_later(
    world: DirectoryWorld, tmp_path: Path
) -> None:
    mirror = world.worker().mirror
    base = await mirror.fetch("main")
    clone = world.colleague()
    later = clone.commit({"more.txt": "more\n"})
    clone.git("push", "-q", "origin", "main")
    await mirror.fetch("main")
    (tmp_path / "seed").write_bytes(await mirror.bundle_for(base, "main"))
    git(tmp_path, "clone", "-q", "-b", "main", "seed", "box")
    box = Tree(tmp_path / "box")
    assert box.git("rev-parse", "HEAD") == base
    assert box.git("fsck", "--full", "--strict") == ""
    assert later not in box.git("rev-list", "--all")


async def test_only_asked_for_branches_and_no_tags_are_fetched(world: DirectoryWorld) -> None:
    git(world.origin, "tag", "v1", "main")
    git(world.origin, "branch", "other", "main")
    mirror = world.worker().mirror
    await mirror.fetch("main")
    assert git(mirror.directory, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


async def test_a_repository_beyond_the_limit_is_refused_for_good(world: DirectoryWorld) -> None:
    clone = world.colleague()
    clone.commit({"noise.txt": random.Random(1).randbytes(500_000).hex()})
    clone.git("push", "-q", "origin", "main")
    for limits in (GitLimits(file=100_000), GitLimits(seconds=0.001)):
        with pytest.raises(Fault) as caught:
            await world.forges(git_limits=limits).resolve("forge/demo").mirror.fetch("main")
        assert (caught.value.code, caught.value.param) == ("git.clone_failed", "target.repo.remote")
        assert caught.value.retryable == (limits.seconds < 1)


async def test_packs_are_joined_without_losing_a_commit(world: DirectoryWorld, tmp_path: Path) -> None:
    few = Mirror(
        Git(tmp_path / "home"), Remote(f"file://{world.origin}"), tmp_path / "m.git", "demo", packs=3
    )
    clone = world.colleague()
    commits: list[str] = []
    for number in range(8):
        clone.git("checkout", "-q", "--orphan", f"other-{number}")
        commits.append(clone.commit({"f": str(number)}))
        clone.git("push", "-q", "-f", "origin", "HEAD:main")
        assert await few.fetch("main") == commits[-1]
    assert len([*few.directory.glob("objects/pack/*.pack")]) <= 4
    assert [await few.has(commit) for commit in commits] == [True] * 8


@pytest.mark.parametrize("name", ["*", "a b", "main:refs/heads/x", "", "-x", "--upload-pack=id", "x" * 5_000])
async def test_a_base_that_cannot_be_a_branch_is_no_branch(world: DirectoryWorld, name: str) -> None:
    with pytest.raises(Fault) as caught:
        await world.worker().mirror.fetch(name)
    assert caught.value.code == "git.branch_not_found"


@pytest.mark.parametrize(
    ("remote", "code"),
    [
        ("other/demo", "git.forge_unknown"),
        ("other/acme/demo", "git.forge_unknown"),
        ("forge", "git.remote_invalid"),
        ("forge/", "git.remote_invalid"),
        ("forge/..", "git.remote_invalid"),
        ("forge/.git", "git.remote_invalid"),
        ("forge/../demo", "git.remote_invalid"),
        ("forge/acme/../demo", "git.remote_invalid"),
        ("forge/acme/demo/more", "git.remote_invalid"),
        ("forge/acme/de mo", "git.remote_invalid"),
        ("forge/acme/demo?x", "git.remote_invalid"),
    ],
)
def test_a_remote_names_one_repository_on_a_declared_forge(
    world: DirectoryWorld, remote: str, code: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        world.forges().resolve(remote)
    assert (caught.value.code, caught.value.param) == (code, "target.repo.remote")


def test_the_owner_may_be_left_to_the_configuration(world: DirectoryWorld) -> None:
    for remote in ("forge/demo", "forge/acme/demo", "forge/demo.git"):
        forge = world.forges().resolve(remote)
        assert (forge.name, forge.repository, forge.mirror.repository) == (
            "forge",
            "acme/demo",
            "forge/acme/demo",
        )
