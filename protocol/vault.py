"""Vaults: folders of linked notes, as they are declared and as they are read."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from protocol.mcp import ServerName
from protocol.noun import JSONObject, Noun

VaultName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
VaultKind = Literal["obsidian", "logseq", "docs"]


class VaultEntry(Noun):
    """A vault of `rhone.toml`: the folder `path` (a relative one begins where that file lies), or the text
    resources of the MCP server `server`."""

    kind: VaultKind
    path: str | None = None
    server: ServerName | None = None

    @model_validator(mode="after")
    def _lies_somewhere(self) -> "VaultEntry":
        if (self.path is None) == (self.server is None):
            raise ValueError("`path` or `server`, one of them")
        return self


class Link(Noun):
    """A reference from one note to another: `target` as it is written, `to` the note that it leads to."""

    target: str
    fragment: str | None = None
    text: str | None = None
    embed: bool = False
    to: str | None = None


class Note(Noun):
    """What a note says of itself. `blocks` are the texts that other notes can point at, by their ids."""

    title: str
    aliases: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    properties: JSONObject = {}
    links: tuple[Link, ...] = ()
    blocks: dict[str, str] = {}


class NoteText(Noun):
    """A note as it is read now, whole or the part that was asked for."""

    path: str
    digest: str
    text: str
    note: Note


class Listed(Noun):
    path: str
    title: str
    tags: tuple[str, ...] = ()


class Found(Noun):
    """A hit of a search, best first."""

    path: str
    title: str
    excerpt: str
