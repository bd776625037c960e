"""Vaults behind an MCP server: its text resources, listed, read, searched and followed as notes."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from protocol.errors import Fault
from protocol.ids import RunId
from protocol.vault import VaultEntry
from providers.mcp.servers import Servers
from providers.vaults.resources import ResourceNotes, is_plain, path_of
from providers.vaults.vault import Vault
from tests.mcp_peers import peer
from worker.vaults import Vaults

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

RUN = RunId("run_one")
NOTES = {
    "Home.md": "# Home\nSee [[Knots]].\n",
    "work/Knots.md": "---\naliases: [Loops]\n---\n# Knots\n## Bowline\nA loop that holds.\n",
    "picture.png": "not shown",
    ".hidden/Secret.md": "not shown",
}


class House(NamedTuple):
    vaults: Vaults
    servers: Servers


@asynccontextmanager
async def served(folder: Path, notes: dict[str, str], **fields: str) -> AsyncGenerator[House]:
    store = folder / "store"
    for name, text in notes.items():
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text(text)
    with peer("tests.mcp_notes", store) as server:
        servers = Servers({"store": server.entry(**fields)}, lambda ref: "")
        entries = {"notes": VaultEntry(kind="obsidian", server="store")}
        try:
            yield House(Vaults(entries, folder, folder, servers), servers)
        finally:
            await servers.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def vaults(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Vaults]:
    async with served(tmp_path_factory.mktemp("vaults"), NOTES) as house:
        yield house.vaults


async def paths(vault: Vault) -> list[str]:
    return [one.path for one in await vault.list_notes("", 9, tag=None)]


async def test_resources_are_notes(vaults: Vaults) -> None:
    vault = vaults.opened(RUN, "notes")
    assert await paths(vault) == ["Home.md", "work/Knots.md"]
    home = await vault.read("Home")
    assert [link.to for link in home.note.links] == ["work/Knots.md"]
    assert (await vault.read("Loops#Bowline")).text.strip() == "## Bowline\nA loop that holds."
    assert [one.path for one in await vault.search("loop holds", 5)] == ["work/Knots.md"]
    assert [path for path, _ in await vault.backlinks("Knots", 5)] == ["Home.md"]
    assert vault.labels == ("untrusted",)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../Home.md", "vault.path_refused"),
        ("none.md", "vault.no_note"),
        (".hidden/Secret.md", "vault.path_refused"),
    ],
)
async def test_what_is_no_note_is_refused(vaults: Vaults, name: str, code: str) -> None:
    with pytest.raises(Fault) as refused:
        await vaults.opened(RUN, "notes").read(name)
    assert refused.value.code == code


async def test_notes_are_changed_elsewhere(vaults: Vaults) -> None:
    with pytest.raises(Fault) as refused:
        await vaults.opened(RUN, "notes").write("Home.md", b"x", expected=None)
    assert refused.value.code == "vault.read_only"


async def test_each_run_reads_for_itself(vaults: Vaults) -> None:
    one, other = vaults.opened(RUN, "notes"), vaults.opened(RunId("run_two"), "notes")
    assert one is not other
    assert one is vaults.opened(RUN, "notes")


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_a_note_that_the_server_asks_about_is_refused_and_nothing_waits(
    tmp_path: Path, version: str
) -> None:
    notes = {"Home.md": "# Home\n", "work/locked.md": "not shown"}
    async with served(tmp_path, notes, protocol_version=version) as house:
        vault = house.vaults.opened(RUN, "notes")
        assert await paths(vault) == ["Home.md"]
        for name in ("work/locked.md", "locked"):
            with pytest.raises(Fault) as refused:
                await vault.read(name)
            assert refused.value.code == "vault.asks"
            assert "'Who are you?'" in refused.value.message
        assert house.servers.parked == ()


class Changing:
    """A store in memory."""

    def __init__(self, **texts: str) -> None:
        self.texts = {f"x://{name}.md": text for name, text in texts.items()}

    async def listing(self) -> dict[str, dict[str, object]]:
        return {address: {} for address in self.texts}

    async def text(self, address: str) -> str | None:
        return self.texts.get(address)


async def test_a_change_is_taken_in_when_the_notes_are_read_anew() -> None:
    store = Changing(a="one", b="two")
    notes = ResourceNotes(store, (".md",), fresh_s=0)
    await notes.refresh()
    before = {one.path: one for one in notes.walk()}
    store.texts |= {"x://b.md": "three", "x://c.md": "four"}
    del store.texts["x://a.md"]
    await notes.refresh()
    assert {one.path: notes.read(one.path) for one in notes.walk()} == {"b.md": b"three", "c.md": b"four"}
    assert before["b.md"] not in list(notes.walk())


async def test_more_notes_than_a_vault_holds_are_refused() -> None:
    notes = ResourceNotes(Changing(**{f"n{n}": "" for n in range(501)}), (".md",))
    with pytest.raises(Fault) as refused:
        await notes.refresh()
    assert refused.value.code == "vault.too_large"


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("note://ideas/a%20b.md", "ideas/a b.md"),
        ("file:///srv/notes/x.md", "srv/notes/x.md"),
        ("demo://resource/static/./x.md", "resource/static/./x.md"),
    ],
)
async def test_an_address_has_a_path(address: str, path: str) -> None:
    assert path_of(address) == path
    assert is_plain(path) == ("." not in path.split("/"))
