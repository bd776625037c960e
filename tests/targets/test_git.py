"""The work tree as git sees it: seeded, checkpointed, rebuilt in another box, and taken out."""

from pathlib import Path

import pytest

from protocol.errors import TargetRefused
from protocol.target import BoxSpec
from targets.agent import AgentTarget
from targets.docker import DockerHost
from tests.conformance.target_suite import box_id, ran
from tests.targets.repository import BRANCH, Repository, sample

pytestmark = pytest.mark.docker

PICTURE = r"""
find . -path ./.git -prune -o \( -type f -o -type l \) -print | sort | while read -r f; do
  stat -c '%A %N' "$f"; [ -L "$f" ] || sha256sum "$f"; done
git status --porcelain=v1 -b; git stash list; git diff --cached; git ls-files -s
git for-each-ref; git symbolic-ref -q HEAD; git rev-parse -q --verify HEAD
"""


async def sh(target: AgentTarget, script: str) -> bytes:
    said = await ran(target, "bash", "-ec", script)
    assert said.exit.exit_code == 0, said.stderr.decode()
    return said.stdout


async def picture(target: AgentTarget) -> bytes:
    """The work tree, the index and the branches, as the model would see them."""
    return (await ran(target, "bash", "-c", PICTURE)).stdout


async def fresh_box(host: DockerHost, spec: BoxSpec) -> AgentTarget:
    return await host.attach(await host.create(spec, box_id()))


async def test_a_seeded_work_tree_is_a_clone_without_a_remote(target: AgentTarget, tmp_path: Path) -> None:
    repository, commit = sample(tmp_path / "origin")
    await target.seed(repository.bundle(), commit=commit, branch=BRANCH)
    assert await target.head() == commit
    assert await sh(target, "git remote -v; git status --porcelain; git fsck --strict 2>&1") == b""
    assert await sh(target, "git symbolic-ref HEAD; ./run.sh; cat link; git log --format=%s") == (
        b"refs/heads/rhone/fix\nrun\necho run\nChange\n"
    )
    await sh(target, "echo more > a.txt; git commit -qam 'By the agent'")
    assert await sh(target, "git log -1 --format='%an <%ae>'") == b"Rhone <agent@rhone.invalid>\n"


async def test_a_seed_done_twice_is_done_once(target: AgentTarget, tmp_path: Path) -> None:
    repository, commit = sample(tmp_path / "origin")
    bundle = repository.bundle()
    await target.seed(bundle, commit=commit, branch=BRANCH)
    await target.write("a.txt", b"work\n")
    await target.seed(bundle, commit=commit, branch=BRANCH)
    assert await target.read("a.txt", limit=100) == b"work\n"


async def test_a_seed_that_was_cut_off_is_done_anew(target: AgentTarget, tmp_path: Path) -> None:
    repository, commit = sample(tmp_path / "origin")
    bundle = repository.bundle()
    with pytest.raises(TargetRefused):
        await target.seed(bundle[:-100], commit=commit, branch=BRANCH)
    await target.seed(bundle, commit=commit, branch=BRANCH)
    assert await sh(target, "git status --porcelain") == b""


@pytest.mark.parametrize(
    ("commit", "branch", "code"),
    [
        ("0" * 40, BRANCH, "git.commit_missing"),
        ("--help", BRANCH, "git.commit_refused"),
        (None, "../x", "git.branch_refused"),
        (None, "-x..y", "git.branch_refused"),
    ],
)
async def test_a_seed_that_makes_no_sense_is_refused(
    target: AgentTarget, tmp_path: Path, commit: str | None, branch: str, code: str
) -> None:
    repository, real = sample(tmp_path / "origin")
    with pytest.raises(TargetRefused) as refused:
        await target.seed(repository.bundle(), commit=commit or real, branch=branch)
    assert refused.value.code == code


async def test_a_work_tree_with_files_is_not_seeded(target: AgentTarget, tmp_path: Path) -> None:
    repository, commit = sample(tmp_path / "origin")
    await target.write("mine", b"x")
    with pytest.raises(TargetRefused) as refused:
        await target.seed(repository.bundle(), commit=commit, branch=BRANCH)
    assert (refused.value.code, await target.read("mine", limit=9)) == ("target.not_empty", b"x")


CHANGES = r"""
echo changed > a.txt; rm dir/b.txt; echo new > dir/new.txt; chmod +x a.txt; chmod -x run.sh
echo staged > staged.txt; git add staged.txt; echo 'staged and changed' > staged.txt
printf 'crlf\r\nmixed\n' > crlf.txt; echo '* text=auto eol=crlf' > .gitattributes
ln -sf /etc/passwd outward; mkdir -p 'sp ace/ünï'; printf '\0\1' > 'sp ace/ünï/x'
echo forced > kept.log; git add -f kept.log; echo forced-and-changed > kept.log; echo ignored > ignored.log
"""
COMMITS = r"""
git commit -qm 'Second' -- a.txt; git branch merged HEAD~1
git update-ref refs/heads/other $(echo Other | git commit-tree 'HEAD^{tree}' -p HEAD)
git rm -q --cached dir/c.bin
"""


async def test_a_lost_box_is_rebuilt_as_it_was_at_the_checkpoint(
    host: DockerHost, spec: BoxSpec, tmp_path: Path
) -> None:
    repository, commit = sample(tmp_path / "origin")
    seed = repository.bundle()
    first = await fresh_box(host, spec)
    await first.seed(seed, commit=commit, branch=BRANCH)
    assert await first.checkpoint(since=commit) is None
    await sh(first, CHANGES)
    before = await picture(first)
    one = await first.checkpoint(since=commit)
    assert one is not None
    assert await picture(first) == before, "a checkpoint leaves the work tree and the real index alone"
    assert await first.checkpoint(since=one.commit) is None
    await sh(first, COMMITS)
    two = await first.checkpoint(since=one.commit)
    assert two is not None
    assert two.commit != one.commit
    await sh(first, "rm ignored.log")

    second = await fresh_box(host, spec)
    await second.restore([seed, one.bundle, two.bundle], commit=two.commit, branch=BRANCH)
    assert await picture(second) == await picture(first)
    assert await second.head() == await first.head()
    assert await second.checkpoint(since=two.commit) is None
    await sh(second, "git fsck 2>&1; echo later > later.txt")
    three = await second.checkpoint(since=two.commit)
    assert three is not None

    third = await fresh_box(host, spec)
    bundles = [seed, one.bundle, two.bundle, three.bundle]
    await third.restore(bundles, commit=three.commit, branch=BRANCH)
    assert await picture(third) == await picture(second)
    fourth = await fresh_box(host, spec)
    await fourth.restore([seed], commit=commit, branch=BRANCH)
    assert (await fourth.head(), await sh(fourth, "git status --porcelain")) == (commit, b"")


async def test_a_checkpoint_without_since_stands_alone(
    host: DockerHost, spec: BoxSpec, tmp_path: Path
) -> None:
    repository, commit = sample(tmp_path / "origin")
    first = await fresh_box(host, spec)
    await first.seed(repository.bundle(), commit=commit, branch=BRANCH)
    await sh(first, CHANGES + "rm ignored.log")
    whole = await first.checkpoint(since=None)
    assert whole is not None
    second = await fresh_box(host, spec)
    await second.restore([whole.bundle], commit=whole.commit, branch=BRANCH)
    assert await picture(second) == await picture(first)


@pytest.mark.parametrize(
    "script", ["rm -rf .git", "rm -rf .git; git init -q; git add a.txt", "git gc -q --prune=now"]
)
async def test_a_checkpoint_survives_what_becomes_of_the_repository(
    host: DockerHost, spec: BoxSpec, tmp_path: Path, script: str
) -> None:
    repository, commit = sample(tmp_path / "origin")
    seed = repository.bundle()
    first = await fresh_box(host, spec)
    await first.seed(seed, commit=commit, branch=BRANCH)
    await sh(first, "echo one > one.txt")
    one = await first.checkpoint(since=commit)
    assert one is not None
    await sh(first, script + "; echo two > two.txt")
    two = await first.checkpoint(since=one.commit)
    assert two is not None
    second = await fresh_box(host, spec)
    await second.restore([seed, one.bundle, two.bundle], commit=two.commit, branch=BRANCH)
    assert await second.glob("**", limit=100) == await first.glob("**", limit=100)
    assert await second.read("two.txt", limit=100) == b"two\n"


async def test_a_work_tree_without_a_repository_has_checkpoints_too(host: DockerHost, spec: BoxSpec) -> None:
    first = await fresh_box(host, spec)
    await first.write("notes/a.md", b"a\n")
    one = await first.checkpoint(since=None)
    assert one is not None
    assert await first.checkpoint(since=one.commit) is None
    second = await fresh_box(host, spec)
    await second.restore([one.bundle], commit=one.commit, branch="main")
    assert await second.glob("**", limit=10) == ("notes/a.md",)
    assert await sh(second, "ls -a") == b".\n..\nnotes\n"
    assert await second.checkpoint(since=one.commit) is None
    await second.write("notes/b.md", b"b\n")
    assert await second.checkpoint(since=one.commit) is not None


async def test_the_commits_of_a_branch_come_out_as_a_bundle(target: AgentTarget, tmp_path: Path) -> None:
    repository, commit = sample(tmp_path / "origin")
    await target.seed(repository.bundle(), commit=commit, branch=BRANCH)
    with pytest.raises(TargetRefused) as refused:
        await target.take_bundle(base=commit, ref=BRANCH, limit=1_000_000)
    assert refused.value.code == "git.nothing_to_push"
    await sh(target, "echo fixed > a.txt; git commit -qam Fix; echo uncommitted > b.txt")
    head = await target.head()
    for ref in (BRANCH, f"refs/heads/{BRANCH}"):
        bundle = await target.take_bundle(base=commit, ref=ref, limit=1_000_000)
        assert bundle.split(b"\n\n")[0].endswith(f"{head} refs/heads/{BRANCH}".encode())
    repository.take(bundle)
    assert repository.git("show", f"refs/taken/{BRANCH}:a.txt") == b"fixed\n"


async def test_a_bundle_that_cannot_be_is_refused(target: AgentTarget, tmp_path: Path) -> None:
    repository, commit = sample(tmp_path / "origin")
    await target.seed(repository.bundle(), commit=commit, branch=BRANCH)
    await sh(target, "head -c 3000000 /dev/urandom > big; git add big; git commit -qm Big")
    for base, ref, code in (
        (commit, BRANCH, "git.bundle_too_large"),
        (commit, "nowhere", "git.ref_missing"),
        ("1" * 40, BRANCH, "git.base_missing"),
        ("HEAD", BRANCH, "git.commit_refused"),
        (commit, "x..y", "git.branch_refused"),
        (commit, "--all", "git.ref_missing"),
    ):
        with pytest.raises(TargetRefused) as refused:
            await target.take_bundle(base=base, ref=ref, limit=1_000_000)
        assert refused.value.code == code, (base, ref)
    assert len(await target.take_bundle(base=commit, ref=BRANCH, limit=4_000_000)) > 3_000_000


async def test_a_large_repository_comes_in(target: AgentTarget, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "origin")
    noise = b"".join(
        i.to_bytes(4, "big") * 7 + bytes((i * 7919 >> s) & 255 for s in range(8)) for i in range(400_000)
    )
    commit = repository.commit({f"noise/{i}": noise[i::7] for i in range(7)})
    await target.seed(repository.bundle(), commit=commit, branch=BRANCH)
    assert await target.read("noise/3", limit=100) == noise[3::7][:100]


async def test_a_checkpoint_on_a_full_disk_is_refused(target: AgentTarget, tmp_path: Path) -> None:
    repository, commit = sample(tmp_path / "origin")
    await target.seed(repository.bundle(), commit=commit, branch=BRANCH)
    await sh(target, "dd if=/dev/urandom of=/workspace/big bs=1M 2>/dev/null || true")
    with pytest.raises(TargetRefused) as refused:
        await target.checkpoint(since=commit)
    assert refused.value.code == "target.disk_full"
    await sh(target, "rm big; echo small > small")
    assert await target.checkpoint(since=commit) is not None


async def test_a_whole_checkpoint_needs_nothing_but_the_seed(
    host: DockerHost, spec: BoxSpec, tmp_path: Path
) -> None:
    repository, commit = sample(tmp_path / "origin")
    seed = repository.bundle()
    first = await fresh_box(host, spec)
    await first.seed(seed, commit=commit, branch=BRANCH)
    await sh(first, CHANGES)
    assert await first.checkpoint(since=commit) is not None
    await sh(first, f"{COMMITS}\nrm ignored.log")
    whole = await first.checkpoint(since=commit)
    assert whole is not None
    second = await fresh_box(host, spec)
    await second.restore([seed, whole.bundle], commit=whole.commit, branch=BRANCH)
    assert await picture(second) == await picture(first)


async def test_what_a_set_up_made_is_packed_and_unpacked_beside_what_is_there(
    host: DockerHost, spec: BoxSpec, tmp_path: Path
) -> None:
    repository, commit = sample(tmp_path / "origin")
    seed = repository.bundle()
    first = await fresh_box(host, spec)
    await first.seed(seed, commit=commit, branch=BRANCH)
    made = "mkdir -p .venv/bin 'sp ace'; echo x > .venv/bin/x; chmod +x .venv/bin/x; echo a > 'sp ace/a\n'"
    await sh(first, f"{made}; ln -s /etc/passwd .venv/out; mkdir ~/.cache; echo home > ~/.cache/f")
    packed = await first.pack(limit=10_000_000)
    assert packed is not None
    assert await first.pack(limit=100) is None
    second = await fresh_box(host, spec)
    await second.seed(seed, commit=commit, branch=BRANCH)
    await second.write("sp ace/a\n", b"mine")
    await second.unpack(packed)
    await second.unpack(packed)
    shown = "ls -l .venv/bin/x | cut -c1-10; readlink .venv/out; cat 'sp ace/a\n' ~/.cache/f"
    assert await sh(second, shown) == b"-rwxr-xr-x\n/etc/passwd\nminehome\n"
    await sh(first, "echo changed > a.txt")
    assert await first.pack(limit=10_000_000) is None
    third = await fresh_box(host, spec)
    await third.write("dir/plain.txt", b"no repository\n")
    packed = await third.pack(limit=10_000_000)
    assert packed is not None
    await second.unpack(packed)
    assert await second.read("dir/plain.txt", limit=100) == b"no repository\n"
