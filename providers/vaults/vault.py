"""A vault as its readers see it: list, read, search, follow links both ways, and replace a note."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from protocol.digest import digest_bytes
from protocol.errors import InvalidRequest, NotFound
from protocol.label import Label
from protocol.vault import Found, Link, Listed, Note, NoteText, VaultEntry
from providers.vaults import logseq, markdown
from providers.vaults.folder import Folder
from providers.vaults.index import Index, Notes
from providers.vaults.resources import ResourceNotes, Store

T = TypeVar("T")

_READERS: dict[str, tuple[Callable[[str, str], Note], tuple[str, ...]]] = {
    "obsidian": (markdown.obsidian, (".md",)),
    "logseq": (logseq.logseq, (".md",)),
    "docs": (markdown.docs, (".md", ".markdown", ".txt", ".rst")),
}


class Vault(Protocol):
    """One declared vault. What it cannot do is refused with a code of the family `vault.`"""

    @property
    def labels(self) -> tuple[Label, ...]:
        """The taint that whatever is read in it carries, beside what the table of labels says."""
        ...

    async def list_notes(self, folder: str, limit: int, *, tag: str | None) -> list[Listed]: ...

    async def read(self, name: str) -> NoteText:
        """By path, title, alias or link: `Name`, `Name#Heading`, `Name#^block`, `((block))`."""
        ...

    async def search(self, text: str, limit: int) -> list[Found]: ...

    async def backlinks(self, name: str, limit: int) -> list[tuple[str, Link]]: ...

    async def bytes_of(self, path: str) -> bytes | None:
        """A note by its path, without the index; None where there is none."""
        ...

    async def write(self, path: str, content: bytes, *, expected: str | None) -> None:
        """Replaces a note as a whole where it still has the digest `expected`; None makes a new one."""
        ...


def folder_vault(entry: VaultEntry, root: Path, index: Path) -> "IndexedVault":
    """A vault in a folder, indexed beside the records of this machine."""
    return IndexedVault(entry, Folder(root, _READERS[entry.kind][1]), index)


def resource_vault(entry: VaultEntry, store: Store) -> "IndexedVault":
    """A vault behind a server, as one run sees it."""
    return IndexedVault(entry, ResourceNotes(store, _READERS[entry.kind][1]), None)


class IndexedVault:
    """Notes that lie somewhere, and the index over them; None keeps that in memory."""

    def __init__(self, entry: VaultEntry, notes: Notes, index: Path | None) -> None:
        self.labels: tuple[Label, ...] = () if entry.server is None else ("untrusted",)
        self._kind = entry.kind
        self._parse = _READERS[entry.kind][0]
        self._notes = notes
        self._file = index
        self._opened: Index | None = None

    async def list_notes(self, folder: str, limit: int, *, tag: str | None) -> list[Listed]:
        prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
        return await self._asked(lambda index: index.listed(prefix, limit, tag))

    async def read(self, name: str) -> NoteText:
        return await self._asked(lambda index: self._read(index, name))

    async def search(self, text: str, limit: int) -> list[Found]:
        return await self._asked(lambda index: index.search(text, limit))

    async def backlinks(self, name: str, limit: int) -> list[tuple[str, Link]]:
        return await self._asked(lambda index: index.backlinks(self._path(index, name), limit))

    async def bytes_of(self, path: str) -> bytes | None:
        await self._notes.refresh()
        try:
            return await asyncio.to_thread(self._notes.read, path)
        except NotFound:
            return None

    async def write(self, path: str, content: bytes, *, expected: str | None) -> None:
        await asyncio.to_thread(self._notes.write, path, content, expected=expected)

    async def _asked(self, ask: Callable[[Index], T]) -> T:
        await self._notes.refresh()
        if self._opened is None:
            self._opened = Index(self._file, self._notes, self._parse)
        return await asyncio.to_thread(ask, self._opened)

    def _read(self, index: Index, name: str) -> NoteText:
        name = name.strip().removeprefix("!").removeprefix("[[").removesuffix("]]").partition("|")[0]
        if name.startswith("((") and name.endswith("))"):
            return self._block(index, name[2:-2])
        named, _, fragment = name.partition("#")
        path = self._path(index, named)
        data = self._notes.read(path)
        text = data.decode(errors="replace")
        part = text
        if fragment:
            found = markdown.part_of(text, fragment)
            if found is None:
                raise NotFound("vault.no_part", f"{path} has no part {fragment[:200]!r}", param="note")
            part = found
        return self._told(index, path, data, text, part)

    def _block(self, index: Index, block: str) -> NoteText:
        path = index.note_with_block(block)
        if path is None:
            raise NotFound("vault.no_part", f"there is no block {block[:200]!r}", param="note")
        data = self._notes.read(path)
        text = data.decode(errors="replace")
        return self._told(index, path, data, text, self._parse(path, text).blocks.get(block, ""))

    def _told(self, index: Index, path: str, data: bytes, text: str, part: str) -> NoteText:
        note = self._parse(path, text)
        links = tuple(link.model_copy(update={"to": self._to(index, path, link)}) for link in note.links)
        return NoteText(
            path=path, digest=digest_bytes(data), text=part, note=note.model_copy(update={"links": links})
        )

    def _to(self, index: Index, path: str, link: Link) -> str | None:
        if link.target:
            return index.path_of(link.target)
        if self._kind == "logseq" and link.fragment:
            return index.note_with_block(link.fragment)
        return path

    def _path(self, index: Index, name: str) -> str:
        found = index.path_of(name) if name.strip() else None
        if found is not None:
            return found
        try:
            self._notes.read(name)
        except InvalidRequest:
            if "/" in name or "\\" in name or "\0" in name or name.startswith("."):
                raise
            raise NotFound("vault.no_note", f"there is no note {name[:200]!r}", param="note") from None
        return name
