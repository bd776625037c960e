"""A folder of a commit: found by tag, branch or id, read as it is, refused where it is not plain files."""

from pathlib import Path

import pytest

from protocol.errors import Fault, NotFound, TooLarge
from targets.forge import folder
from targets.forge.folder import FolderFile
from tests.conformance.forge_world import Tree
from tests.unit.targets_forge.conftest import DirectoryWorld

pytestmark = pytest.mark.slow

SKILL = {"skills/notes/SKILL.md": "---\nname: notes\n---\n", "skills/notes/scripts/run.sh": "#!/bin/sh\n"}


def pushed(world: DirectoryWorld, files: dict[str, str] | None = None) -> Tree:
    clone = world.colleague()
    clone.commit(files or SKILL)
    clone.git("push", "-q", "origin", "main")
    return clone


async def read(world: DirectoryWorld, name: str, path: str) -> list[FolderFile]:
    forges = world.forges()
    mirror = forges.resolve("forge/demo").mirror
    return await forges.folders.files(mirror, await mirror.fetch_named(name), path)


async def test_a_folder_is_found_by_tag_branch_or_commit(world: DirectoryWorld) -> None:
    clone = world.colleague()
    (clone.directory / "skills/notes/scripts").mkdir(parents=True)
    run = clone.directory / "skills/notes/scripts/run.sh"
    run.touch()
    run.chmod(0o755)
    first = clone.commit(SKILL)
    clone.git("tag", "light")
    clone.git("tag", "-a", "-m", "Version 1", "v1")
    clone.commit({"skills/notes/SKILL.md": "changed"})
    clone.git("push", "-q", "origin", "main", "light", "v1")
    for name in ("light", "v1", first):
        assert await read(world, name, "skills/notes") == [
            FolderFile("SKILL.md", b"---\nname: notes\n---\n", False),
            FolderFile("scripts/run.sh", b"#!/bin/sh\n", True),
        ]
    assert (await read(world, "main", "skills/notes"))[0].data == b"changed"
    assert "README.md" in [one.path for one in await read(world, "main", "")]


async def test_a_tag_goes_before_a_branch_of_its_name(world: DirectoryWorld) -> None:
    clone = pushed(world)
    clone.git("tag", "v1")
    clone.git("checkout", "-q", "-b", "v1")
    clone.commit({"skills/notes/SKILL.md": "of the branch"})
    clone.git("push", "-q", "origin", "refs/tags/v1", "refs/heads/v1")
    assert (await read(world, "v1", "skills/notes"))[0].data == b"---\nname: notes\n---\n"


NOTHING = ("nowhere", "v*", "main:refs/heads/other", "a b", "^main", "-x", "", "0" * 40, "g" * 40, "HEAD~1")
NO_FOLDER = ("nowhere", "README.md", "../demo", "src/../src", "/src")


async def test_what_names_nothing_is_not_there(world: DirectoryWorld) -> None:
    mirror = world.worker().mirror
    for name in NOTHING:
        with pytest.raises(NotFound) as refused:
            await mirror.fetch_named(name)
        assert refused.value.code == "git.reference_not_found"


async def test_a_path_that_is_no_folder_of_the_commit_is_not_there(world: DirectoryWorld) -> None:
    forges = world.forges()
    mirror = forges.resolve("forge/demo").mirror
    commit = await mirror.fetch_named("main")
    for path in NO_FOLDER:
        with pytest.raises(NotFound):
            await forges.folders.files(mirror, commit, path)


def odd(clone: Tree) -> dict[str, bytes]:
    """Trees that hold what no skill may, by what they are refused for."""
    blob, commit = clone.blob("text"), bytes.fromhex(clone.git("rev-parse", "HEAD"))
    inner = clone.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", stdin=b"")
    return {
        "a link": b"120000 SKILL.md\0" + blob,
        "a submodule": b"160000 module\0" + commit,
        "a repository's own": b"100644 .GIT\0" + blob,
        "not UTF-8": b"100644 \xff\0" + blob,
        "there is nothing": b"40000 empty\0" + bytes.fromhex(inner),
    }


async def test_a_tree_that_is_not_plain_files_is_refused(world: DirectoryWorld) -> None:
    clone = pushed(world)
    for number, (why, entries) in enumerate(odd(clone).items()):
        clone.commit_tree(entries)
        clone.git("push", "-q", "origin", f"HEAD:refs/heads/odd{number}")
        with pytest.raises(Fault, match=why) as refused:
            await read(world, f"odd{number}", "")
        assert refused.value.code in ("git.folder_refused", "git.folder_not_found")


async def test_names_that_leave_the_folder_come_out_as_they_are(world: DirectoryWorld) -> None:
    """No byte is written by them here; the archive's own check refuses them."""
    clone = pushed(world)
    clone.commit_tree(b"100644 ..\\up\0" + clone.blob("text"))
    clone.git("push", "-q", "origin", "HEAD:refs/heads/up")
    assert [one.path for one in await read(world, "up", "")] == ["..\\up"]


async def test_more_files_than_a_skill_may_have_are_refused_unread(world: DirectoryWorld) -> None:
    clone = world.colleague()
    (clone.directory / "many").mkdir()
    for number in range(folder.MOST_FILES + 1):
        (clone.directory / "many" / str(number)).touch()
    clone.git("add", "-A")
    clone.git("commit", "-q", "-m", "Many")
    clone.git("push", "-q", "origin", "main")
    with pytest.raises(TooLarge):
        await read(world, "main", "many")


async def test_neither_hooks_nor_attributes_of_the_repository_run(
    world: DirectoryWorld, tmp_path: Path
) -> None:
    hook = world.origin / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    hook.chmod(0o755)
    files = {"s/.gitattributes": "* filter=evil export-ignore\n", "s/SKILL.md": "x\n", "s/a": "$Id$\n"}
    pushed(world, files)
    found = {one.path: one.data for one in await read(world, "main", "s")}
    assert found == {name.removeprefix("s/"): text.encode() for name, text in files.items()}
    assert not (tmp_path / "ran").exists()
