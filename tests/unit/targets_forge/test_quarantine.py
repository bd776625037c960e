"""What comes out of a box is hostile: every way to move more, or show less, than was granted."""

import random
from pathlib import Path

import pytest

from protocol.digest import digest_bytes
from protocol.errors import Conflict, Fault, TargetRefused
from protocol.forge import Examined
from targets.forge.forges import Forge
from targets.forge.quarantine import PushLimits
from tests.conformance.forge_world import BRANCH, Started, Tree, git, prepared_change, start
from tests.unit.targets_forge.conftest import DirectoryWorld, Limited

pytestmark = pytest.mark.slow


@pytest.fixture
async def started(forge: Forge, tmp_path: Path) -> Started:
    return await start(forge, tmp_path / "run")


async def refusal(forge: Forge, started: Started, bundle: bytes) -> str:
    with pytest.raises(Fault) as caught:
        await forge.quarantine.prepare(started.grant, bundle)
    assert isinstance(caught.value, TargetRefused)
    assert not caught.value.retryable
    return caught.value.code


async def examined(forge: Forge, started: Started) -> Examined:
    return await forge.quarantine.prepare(started.grant, started.out())


async def test_a_push_is_told_in_full(forge: Forge, started: Started) -> None:
    new = started.box.commit({"fix.txt": "fixed\n"}, "Fix it")
    bundle = started.out()
    seen = await forge.quarantine.prepare(started.grant, bundle)
    assert seen.push.facts.model_dump() == {
        "repository": "forge/acme/demo",
        "ref": f"refs/heads/{BRANCH}",
        "expected_old": None,
        "new": new,
        "base": started.grant.base_commit,
        "diff_digest": digest_bytes(seen.diff),
    }
    assert seen.push.bundle_digest == digest_bytes(bundle)
    assert seen.push.commits == (f"{new[:7]} Fix it",)
    assert seen.diff.decode().splitlines() == [
        "1\t0\tfix.txt",
        " create mode 100644 fix.txt",
        "",
        "diff --git a/fix.txt b/fix.txt",
        "new file mode 100644",
        f"index {'0' * 40}..{started.box.git('rev-parse', 'HEAD:fix.txt')}",
        "--- /dev/null",
        "+++ b/fix.txt",
        "@@ -0,0 +1 @@",
        "+fixed",
    ]
    assert await forge.quarantine.prepare(started.grant, bundle) == seen


async def test_a_second_ref_does_not_ride_along(forge: Forge, started: Started) -> None:
    started.box.commit({"fix.txt": "fixed\n"})
    started.box.git("branch", "other")
    started.box.git("tag", "-a", "v1", "-m", "v1")
    base = started.grant.base_commit
    for refs in ((BRANCH, "other"), (BRANCH, "v1"), ("other",), ("v1",), ("HEAD",)):
        assert await refusal(forge, started, started.box.bundle(f"^{base}", *refs)) == "git.outside_grant"


async def test_a_history_that_does_not_hold_the_base_is_refused(forge: Forge, started: Started) -> None:
    box = started.box
    box.git("checkout", "-q", "--orphan", "fresh")
    box.git("commit", "-q", "-m", "Rewritten")
    box.git("branch", "-f", BRANCH, "fresh")
    assert await refusal(forge, started, box.bundle(BRANCH)) == "git.rewrites_base"


async def test_an_amended_base_is_refused(forge: Forge, started: Started) -> None:
    started.box.git("commit", "-q", "--amend", "-m", "Begun otherwise")
    assert await refusal(forge, started, started.box.bundle(BRANCH)) == "git.rewrites_base"


async def test_a_branch_without_a_commit_of_its_own_is_nothing_to_push(
    forge: Forge, started: Started
) -> None:
    assert await refusal(forge, started, b"") == "git.nothing_to_push"
    assert await refusal(forge, started, started.box.bundle(BRANCH)) == "git.nothing_to_push"


async def test_a_commit_that_changes_no_file_can_be_pushed(forge: Forge, started: Started) -> None:
    started.box.git("commit", "-q", "--allow-empty", "-m", "Nothing")
    seen = await examined(forge, started)
    assert (seen.diff, len(seen.push.commits)) == (b"", 1)


async def test_bytes_that_are_no_bundle_are_refused(forge: Forge, started: Started) -> None:
    started.box.commit({"fix.txt": "fixed\n"})
    whole = started.out()
    head = whole[: whole.index(b"PACK")]
    for damaged in (
        b"\x00" * 100,
        b"# v2 git bundle\n",
        b"# v3 git bundle\n@filter=blob:none\n" + whole[16:],
        whole.replace(b"refs/heads", b"refs/\x00eads", 1),
        head,
        whole[:-1],
        whole[:-30],
        head + b"PACK" + b"\xff" * 64,
        b"# v2 git bundle\n" + b"-" + b"1" * 40 + b" x\n" + whole[16:],
        b"# v2 git bundle\n" + b"x" * 200_000 + b"\n\n",
    ):
        assert await refusal(forge, started, damaged) == "git.bundle_refused"


async def test_every_flipped_byte_of_the_pack_is_noticed(forge: Forge, started: Started) -> None:
    started.box.commit({"fix.txt": "fixed\n"})
    whole = started.out()
    pack = whole.index(b"PACK")
    for position in random.Random(1).sample(range(pack, len(whole)), 12):
        damaged = bytearray(whole)
        damaged[position] ^= 0x40
        assert await refusal(forge, started, bytes(damaged)) == "git.bundle_refused"


async def test_a_commit_without_its_objects_is_refused(forge: Forge, started: Started) -> None:
    new = started.box.commit({"fix.txt": "fixed\n"})
    pack = _packed(started.box, new)
    header = f"# v2 git bundle\n{new} refs/heads/{BRANCH}\n\n".encode()
    assert await refusal(forge, started, header + pack) == "git.bundle_refused"


async def test_a_head_that_is_not_in_the_pack_is_refused(forge: Forge, started: Started) -> None:
    started.box.commit({"fix.txt": "fixed\n"})
    bundle = started.out()
    head = started.box.git("rev-parse", "HEAD").encode()
    assert await refusal(forge, started, bundle.replace(head, b"1" * 40, 1)) == "git.bundle_refused"


async def test_a_head_that_is_no_commit_is_refused(forge: Forge, started: Started) -> None:
    new = started.box.commit({"fix.txt": "fixed\n"})
    blob = started.box.git("rev-parse", "HEAD:fix.txt")
    bundle = started.out().replace(new.encode(), blob.encode(), 1)
    assert await refusal(forge, started, bundle) == "git.bundle_refused"


def _packed(box: Tree, *objects: str) -> bytes:
    name = box.git(
        "pack-objects", "-q", str(box.directory.parent / "pack"), stdin="\n".join(objects).encode()
    )
    return (box.directory.parent / f"pack-{name}.pack").read_bytes()


@pytest.mark.parametrize("name", [".git", ".GIT", "..", ".", "a/b", "git~1", ".g\u200cit"])
async def test_a_path_that_would_act_at_a_checkout_is_refused(
    forge: Forge, started: Started, name: str
) -> None:
    box = started.box
    hook = b"100755 post-checkout\0" + box.blob("#!/bin/sh\n")
    hooks = box.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=hook)
    box.commit_tree(b"40000 " + name.encode() + b"\0" + bytes.fromhex(hooks))
    assert await refusal(forge, started, started.out()) == "git.bundle_refused"


async def test_a_submodule_address_that_is_an_option_is_refused(forge: Forge, started: Started) -> None:
    started.box.commit({".gitmodules": '[submodule "x"]\n\tpath = x\n\turl = --upload-pack=touch x\n'})
    assert await refusal(forge, started, started.out()) == "git.bundle_refused"


async def test_submodules_and_links_are_shown_as_what_they_are(forge: Forge, started: Started) -> None:
    link = started.box.blob("/etc/passwd")
    gitlink = bytes.fromhex("12" * 20)
    started.box.commit_tree(b"120000 link\0" + link + b"160000 module\0" + gitlink)
    text = (await examined(forge, started)).diff.decode()
    assert " create mode 120000 link\n" in text
    assert " create mode 160000 module\n" in text
    assert f"+Subproject commit {'12' * 20}\n" in text
    assert " delete mode 100644 README.md\n" in text


async def test_names_cannot_reorder_or_break_what_is_shown(forge: Forge, started: Started) -> None:
    name = "invoice\u202etxt.exe\n+++ b/other"
    started.box.commit_tree(b"100644 " + name.replace("/", "_").encode() + b"\0" + started.box.blob("x\n"))
    diff = (await examined(forge, started)).diff
    assert b'"b/invoice\\342\\200\\256txt.exe\\n+++ b_other"' in diff
    assert "\u202e".encode() not in diff


async def test_attributes_of_the_tree_hide_nothing(forge: Forge, started: Started, tmp_path: Path) -> None:
    """A repository may say of its files that they are binary, or how they are to be converted for a diff."""
    trap = tmp_path / "executed"
    started.box.commit(
        {
            "hidden.py": "print('hidden')\n",
            ".gitattributes": "* -diff\n*.py binary diff=trap filter=trap\n",
            ".gitconfig": f'[diff "trap"]\n\ttextconv = touch {trap};\n\tcommand = touch {trap};\n',
        }
    )
    diff = (await examined(forge, started)).diff
    assert b"+print('hidden')\n" in diff
    assert not trap.exists()


async def test_attributes_of_the_base_hide_nothing(
    world: DirectoryWorld, forge: Forge, tmp_path: Path
) -> None:
    clone = world.colleague()
    clone.commit({".gitattributes": "* -diff\n"})
    clone.git("push", "-q", "origin", "main")
    started = await start(forge, tmp_path / "run")
    started.box.commit({"src/app.py": "print('hidden')\n"})
    assert b"+print('hidden')\n" in (await examined(forge, started)).diff


async def test_a_binary_file_is_pinned_by_its_name_in_full(forge: Forge, started: Started) -> None:
    (started.box.directory / "image.bin").write_bytes(b"\0\1\2" * 100)
    started.box.commit({"fix.txt": "fixed\n"})
    started.box.git("add", "image.bin")
    started.box.git("commit", "-q", "-m", "Binary")
    diff = (await examined(forge, started)).diff.decode()
    assert f"index {'0' * 40}..{started.box.git('rev-parse', 'HEAD:image.bin')}\nBinary files" in diff


async def test_a_rename_is_shown_with_all_its_lines(forge: Forge, started: Started) -> None:
    started.box.git("mv", "src/app.py", "moved.py")
    started.box.git("commit", "-q", "-m", "Move")
    diff = (await examined(forge, started)).diff
    assert b"\n-print('one')\n" in diff
    assert b"\n+print('one')\n" in diff


async def test_too_much_is_refused(limited: Limited, started: Started) -> None:
    started.box.commit({"data.txt": random.Random(1).randbytes(50_000).hex()})
    bundle = started.out()
    assert await refusal(limited(PushLimits(bundle=20_000)), started, bundle) == "git.push_too_large"
    assert await refusal(limited(PushLimits(diff=20_000)), started, bundle) == "git.push_too_large"


@pytest.mark.slow
async def test_a_small_bundle_that_unpacks_into_much_is_not_read_into_memory(
    forge: Forge, started: Started
) -> None:
    (started.box.directory / "zeros").write_bytes(bytes(64 * 1024 * 1024))
    started.box.git("add", "zeros")
    started.box.git("commit", "-q", "-m", "Zeros")
    bundle = started.out()
    assert len(bundle) < 100_000
    seen = await forge.quarantine.prepare(started.grant, bundle)
    assert len(seen.diff) < 1_000


async def test_other_bytes_than_those_prepared_are_never_pushed(forge: Forge, tmp_path: Path) -> None:
    push, bundle, started = await prepared_change(forge, tmp_path / "other")
    started.box.commit({"evil.txt": "evil\n"})
    with pytest.raises(Conflict):
        await forge.quarantine.redeem(push, started.out())
    with pytest.raises(Conflict):
        await forge.quarantine.redeem(push, bundle[:-1])
    assert await forge.mirror.branch_head(BRANCH) is None


async def test_only_the_branch_moves(world: DirectoryWorld, forge: Forge, tmp_path: Path) -> None:
    before = git(world.origin, "for-each-ref")
    push, bundle, _ = await prepared_change(forge, tmp_path / "run")
    assert git(world.origin, "for-each-ref") == before
    await forge.quarantine.redeem(push, bundle)
    after = git(world.origin, "for-each-ref").splitlines()
    assert set(after) - set(before.splitlines()) == {f"{push.new} commit\trefs/heads/{BRANCH}"}


async def test_nothing_is_left_behind(world: DirectoryWorld, tmp_path: Path) -> None:
    data = tmp_path / "data"
    forge = world.forges(data).resolve("forge/demo")
    push, bundle, started = await prepared_change(forge, tmp_path / "run")
    await forge.quarantine.redeem(push, bundle)
    await refusal(forge, started, bundle[:-1])
    assert list((data / "quarantine").iterdir()) == []
    # The mirror has no object that came out of a box.
    assert not await forge.mirror.has(push.new)
