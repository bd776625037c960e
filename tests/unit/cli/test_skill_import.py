"""A skill out of a repository on a forge: fetched with its credential, and never checked out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.failure import Failure
from cli.skills import Reference, fetched
from protocol.errors import InvalidRequest
from records.archives import Entry, read_archive
from tests.conformance.forge_world import Tree, git
from tests.unit.targets_forge.served import TOKEN, Served, serving

CONFIG = """
[forges.forge]
kind = "gitea"
url = "{url}"
owner = "acme"
tokenRef = {{ kind = "file", name = "forge.token" }}
"""


class Shop:
    """A forge with one repository of skills, and a data directory that knows it."""

    def __init__(self, root: Path, served: Served) -> None:
        self.data = root / "data"
        self.data.mkdir()
        self.config = self.data / "rhone.toml"
        self.config.write_text(CONFIG.format(url=served.url))
        (self.data / "forge.token").write_text(TOKEN)
        git(root, "init", "-q", "--template=", "-b", "main", "work")
        self.tree = Tree(root / "work")

    def push(self, root: Path, *refs: str) -> None:
        origin = root / "forge" / "acme" / "skills.git"
        if not origin.exists():
            git(root, "init", "-q", "--bare", "--template=", str(origin))
        self.tree.git("push", "-q", str(origin), *refs)

    async def fetch(self, ref: str, path: str = "notes", remote: str = "forge/skills") -> dict[str, Entry]:
        reference = Reference(ref=ref, path=path, config=self.config)
        return read_archive(await fetched(remote, reference, self.data))


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with serving(tmp_path / "forge") as server:
        yield server


@pytest.fixture
def shop(tmp_path: Path, served: Served) -> Shop:
    made = Shop(tmp_path, served)
    made.tree.commit({"notes/SKILL.md": "---\nname: notes\n---\n", "notes/references/style.md": "short\n"})
    made.tree.git("tag", "v3")
    made.push(tmp_path, "main", "v3")
    return made


async def test_a_folder_at_a_tag_comes_out_as_an_archive_under_its_name(shop: Shop, served: Served) -> None:
    shop.tree.commit({"notes/SKILL.md": "changed"})
    assert await shop.fetch("v3") == {
        "notes/SKILL.md": Entry(b"---\nname: notes\n---\n"),
        "notes/references/style.md": Entry(b"short\n"),
    }
    assert await shop.fetch("v3", "/notes/references/") == {"references/style.md": Entry(b"short\n")}
    assert served.requests
    assert not served.token_in_arguments
    kept = [path for path in shop.data.rglob("*") if path.is_file() and path.name != "forge.token"]
    assert not any(TOKEN.encode() in path.read_bytes() for path in kept)
    assert not any(path.name == "SKILL.md" for path in shop.data.rglob("*"))


@pytest.mark.parametrize(
    ("ref", "path", "remote", "why"),
    [
        ("v4", "notes", "forge/skills", "no tag, branch or commit 'v4'"),
        ("--upload-pack=x", "notes", "forge/skills", "no part of a branch name"),
        ("v3", "nothing", "forge/skills", "there is no folder"),
        ("v3", "../notes", "forge/skills", "leaves its folder"),
        ("v3", "notes", "elsewhere/skills", "there is no forge 'elsewhere'"),
        ("v3", "notes", "forge/missing", "there is no repository"),
    ],
)
async def test_what_is_not_there_is_said(shop: Shop, ref: str, path: str, remote: str, why: str) -> None:
    with pytest.raises(Failure, match=why):
        await shop.fetch(ref, path, remote)


async def test_a_hostile_name_is_refused_before_anything_is_sent(shop: Shop, tmp_path: Path) -> None:
    shop.tree.commit_tree(b"100644 ..\\up\0" + shop.tree.blob("text"))
    shop.push(tmp_path, "HEAD:refs/heads/up")
    with pytest.raises(InvalidRequest, match="backslash"):
        await shop.fetch("up", "")
