"""Vaults of each kind: what notes say, where links lead, what is found, and what stays outside."""

import os
import time
from pathlib import Path

import pytest

from protocol.digest import digest_bytes
from protocol.errors import Conflict, Fault, InvalidRequest, NotFound
from protocol.vault import Link, Note, VaultEntry, VaultKind
from providers.vaults import index
from providers.vaults.logseq import logseq
from providers.vaults.markdown import obsidian, part_of
from providers.vaults.vault import IndexedVault, folder_vault
from tests.escapes import escapes

OBSIDIAN = {
    "Home.md": "---\naliases: [Start, The beginning]\ntags: index\nrank: 1\n---\n# Home\n"
    "See [[Rope work|ropes]], ![[Knots#Bowline]] and [[Knots#^a1]]. #travel/sea\n"
    "`[[not a link]]`\n```\n[[nor this]] #nor-this\n```\n",
    "work/Knots.md": "# Knots\n\n## Bowline\nA loop that holds.\n\n"
    "### Uses\nMooring.\n\n## Hitch\nA fact. ^a1\n",
    "work/Rope work.md": "Back to [[start]], [knots](Knots.md#hitch), [web](https://example.com/a.md).\n",
    ".obsidian/workspace.md": "[[Home]]",
}
LOGSEQ = {
    "pages/Knots.md": "alias:: Loops, Hitches\ntags:: sea\n\n"
    "- A bowline holds. #rope\n  id:: 6512-aaaa\n\t- below it\n"
    "- See [[Jan 31st, 2024]] and #[[rope work]]\n",
    "pages/work___Ropes.md": "- {{embed [[Knots]]}}\n- ((6512-aaaa))\n",
    "journals/2024_01_31.md": "- Tied [[Loops]] today\n",
}
DOCS = {
    "index.md": "# The manual\n\nSee [setup](guide/setup.md) and [up](../secret.md).\n",
    "guide/setup.md": "---\ntitle: Setting up\n---\nGo [back](/index.md#the-manual).\n",
    "notes.txt": "plain words about hemp\n",
}


def vault(folder: Path, kind: VaultKind, files: dict[str, str]) -> IndexedVault:
    root = folder / "vault"
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return folder_vault(VaultEntry(kind=kind, path="vault"), root, folder / "index.db")


def test_a_note_of_obsidian_tells_its_properties_links_tags_and_blocks() -> None:
    assert obsidian("Home.md", OBSIDIAN["Home.md"]) == Note(
        title="Home",
        aliases=("Start", "The beginning"),
        tags=("index", "travel/sea"),
        properties={"aliases": ["Start", "The beginning"], "tags": "index", "rank": "1"},
        links=(
            Link(target="Rope work", text="ropes"),
            Link(target="Knots", fragment="Bowline", embed=True),
            Link(target="Knots", fragment="^a1"),
        ),
    )
    assert obsidian("Knots.md", OBSIDIAN["work/Knots.md"]).blocks == {"a1": "A fact."}


def test_a_note_of_logseq_tells_its_outline() -> None:
    note = logseq("pages/Knots.md", LOGSEQ["pages/Knots.md"])
    assert (note.title, note.aliases, note.tags) == (
        "Knots",
        ("Loops", "Hitches"),
        ("rope", "rope work", "sea"),
    )
    assert note.properties == {"alias": "Loops, Hitches", "tags": "sea"}
    assert note.blocks == {"6512-aaaa": "- A bowline holds. #rope\n  id:: 6512-aaaa\n\t- below it"}
    assert Link(target="Jan 31st, 2024") in note.links
    ropes = logseq("pages/work___Ropes.md", LOGSEQ["pages/work___Ropes.md"])
    assert ropes.title == "work/Ropes"
    assert ropes.links == (Link(target="Knots", embed=True), Link(target="", fragment="6512-aaaa"))
    journal = logseq("journals/2024_01_31.md", "")
    assert (journal.title, journal.aliases) == ("2024-01-31", ("2024-01-31", "Jan 31st, 2024"))


def test_a_part_of_a_note_is_a_section_or_a_block() -> None:
    text = OBSIDIAN["work/Knots.md"]
    assert part_of(text, "Bowline") == "## Bowline\nA loop that holds.\n\n### Uses\nMooring."
    assert part_of(text, "Bowline#Uses") == "### Uses\nMooring."
    assert part_of(text, "^a1") == "A fact."
    assert part_of(text, "Splice") is None


@pytest.mark.parametrize(
    ("asked", "path", "text"),
    [
        ("Home", "Home.md", None),
        ("the BEGINNING", "Home.md", None),
        ("work/Knots.md", "work/Knots.md", None),
        ("[[Knots#Hitch]]", "work/Knots.md", "## Hitch\nA fact. ^a1"),
        ("Knots#^a1", "work/Knots.md", "A fact."),
    ],
)
async def test_a_note_is_read_by_any_of_its_names(
    tmp_path: Path, asked: str, path: str, text: str | None
) -> None:
    read = await vault(tmp_path, "obsidian", OBSIDIAN).read(asked)
    assert (read.path, read.text) == (path, text or OBSIDIAN[path])
    assert read.digest == digest_bytes(OBSIDIAN[path].encode())


async def test_links_are_followed_both_ways(tmp_path: Path) -> None:
    notes = vault(tmp_path, "obsidian", OBSIDIAN)
    home = await notes.read("Home")
    assert [link.to for link in home.note.links] == ["work/Rope work.md", "work/Knots.md", "work/Knots.md"]
    assert [path for path, _ in await notes.backlinks("Knots", 10)] == [
        "Home.md",
        "Home.md",
        "work/Rope work.md",
    ]
    assert [path for path, _ in await notes.backlinks("Start", 10)] == ["work/Rope work.md"]
    with pytest.raises(NotFound):
        await notes.read("Splices")


async def test_pages_and_blocks_of_logseq_are_reached_by_reference(tmp_path: Path) -> None:
    notes = vault(tmp_path, "logseq", LOGSEQ)
    assert (await notes.read("((6512-aaaa))")).text.startswith("- A bowline holds.")
    assert (await notes.read("Jan 31st, 2024")).path == "journals/2024_01_31.md"
    assert [path for path, _ in await notes.backlinks("Hitches", 10)] == [
        "journals/2024_01_31.md",
        "pages/work___Ropes.md",
        "pages/work___Ropes.md",
    ]


async def test_plain_folders_have_titles_and_relative_links(tmp_path: Path) -> None:
    notes = vault(tmp_path, "docs", DOCS)
    assert [(one.path, one.title) for one in await notes.list_notes("", 10, tag=None)] == [
        ("guide/setup.md", "Setting up"),
        ("index.md", "The manual"),
        ("notes.txt", "notes"),
    ]
    assert [link.to for link in (await notes.read("index.md")).note.links] == ["guide/setup.md"]
    assert [path for path, _ in await notes.backlinks("The manual", 10)] == ["guide/setup.md"]
    assert [one.path for one in await notes.search("HEMP words", 5)] == ["notes.txt"]


async def test_notes_are_listed_by_folder_and_tag(tmp_path: Path) -> None:
    notes = vault(tmp_path, "obsidian", OBSIDIAN)
    assert [one.path for one in await notes.list_notes("work", 10, tag=None)] == [
        "work/Knots.md",
        "work/Rope work.md",
    ]
    assert [one.path for one in await notes.list_notes("", 10, tag="#INDEX")] == ["Home.md"]


async def test_the_index_follows_the_files(tmp_path: Path) -> None:
    entry, root = VaultEntry(kind="docs", path="vault"), tmp_path / "vault"
    vault(tmp_path, "docs", DOCS)

    async def hits(word: str) -> list[str]:
        """As a process that has just begun sees it."""
        return [one.path for one in await folder_vault(entry, root, tmp_path / "index.db").search(word, 9)]

    assert await hits("hemp") == ["notes.txt"]
    (root / "notes.txt").write_text("plain words about jute, and more of them\n")
    (root / "new.md").write_text("jute")
    (root / "index.md").unlink()
    assert await hits("hemp") == []
    assert sorted(await hits("jute")) == ["new.md", "notes.txt"]
    assert await hits("see") == []


@pytest.mark.parametrize("query", ['"', "NEAR(", "a AND", "*", "title:x", "'; DROP TABLE notes", "-", "\x00"])
async def test_no_text_is_a_query_language(tmp_path: Path, query: str) -> None:
    assert isinstance(await vault(tmp_path, "docs", DOCS).search(query, 5), list)


CANARY = "the canary"
ESCAPES = escapes("secret.md", "../secret.md", "vault/../secret.md")


async def test_a_hundred_and_fifty_spellings_read_nothing_outside(tmp_path: Path) -> None:
    """FIL-02, of vaults."""
    notes = vault(tmp_path, "obsidian", OBSIDIAN)
    (tmp_path / "secret.md").write_text(CANARY)
    assert len(ESCAPES) >= 120
    for path in (*ESCAPES, str(tmp_path / "secret.md"), "file:secret.md", ".obsidian/workspace.md", ""):
        for read in (notes.read(path), notes.bytes_of(path)):
            try:
                found = await read
            except Fault as fault:
                assert fault.code in ("vault.path_refused", "vault.no_note", "vault.no_part"), path
            else:
                assert found is None or CANARY not in str(found), path
        with pytest.raises(Fault):
            await notes.write(path, b"x", expected=digest_bytes(CANARY.encode()))
    assert (tmp_path / "secret.md").read_text() == CANARY


async def test_links_of_the_file_system_are_not_followed(tmp_path: Path) -> None:
    notes = vault(tmp_path, "obsidian", OBSIDIAN)
    root, outside = tmp_path / "vault", tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.md").write_text(CANARY)
    (root / "a.md").symlink_to(outside / "secret.md")
    (root / "folder").symlink_to(outside)
    os.mkfifo(root / "pipe.md")
    for path in ("a.md", "folder/secret.md", "pipe.md"):
        with pytest.raises(InvalidRequest) as refused:
            await notes.bytes_of(path)
        assert refused.value.code == "vault.path_refused"
        with pytest.raises(Fault):
            await notes.write(path, b"x", expected=digest_bytes(CANARY.encode()))
    assert await notes.search("canary", 5) == []
    assert (outside / "secret.md").read_text() == CANARY


async def test_a_note_is_replaced_only_where_it_is_what_it_was(tmp_path: Path) -> None:
    notes = vault(tmp_path, "docs", DOCS)
    root = tmp_path / "vault"
    (root / "notes.txt").chmod(0o640)
    before = digest_bytes(DOCS["notes.txt"].encode())
    await notes.write("notes.txt", b"new\n", expected=before)
    assert (root / "notes.txt").read_text() == "new\n"
    assert (root / "notes.txt").stat().st_mode & 0o777 == 0o640
    for path, expected in (("notes.txt", before), ("notes.txt", None), ("gone.md", before)):
        with pytest.raises(Conflict) as refused:
            await notes.write(path, b"other", expected=expected)
        assert refused.value.code == "vault.note_changed"
    await notes.write("guide/new.md", b"made\n", expected=None)
    assert sorted(path.name for path in (root / "guide").iterdir()) == ["new.md", "setup.md"]


@pytest.mark.parametrize("parse", [obsidian, logseq])
@pytest.mark.parametrize(
    "text",
    [
        *(
            "[[" * 50_000,
            "[" * 100_000,
            "`" * 99_999,
            "#" * 100_000,
            "# " + "#" * 99_999 + "x",
            "^a " * 50_000,
        ),
        *(
            "- " * 50_000,
            "a:: " + " x" * 50_000,
            " " * 100_000 + "x",
            "((" * 50_000,
            "#1" * 50_000,
            "![](" * 25_000,
        ),
        *("~~~\n" * 25_001, "` `` " * 20_000, "---\n" + "[" * 16_000 + "\n---\n"),
    ],
)
def test_no_text_takes_long_to_read(parse: type, text: str) -> None:
    began = time.monotonic()
    parse("a.md", text)
    assert time.monotonic() - began < 5


def test_an_answer_is_never_far_behind_the_files() -> None:
    assert index.FRESH_S <= 1
