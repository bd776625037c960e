"""The text resources of a knowledge store as notes: taken in when they are asked for, and kept in memory."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from protocol.digest import digest_bytes
from protocol.errors import InvalidRequest, NotFound, Refused, TooLarge
from protocol.mcp import Question
from protocol.noun import JSONObject
from providers.vaults.folder import MAX_DEPTH, MAX_NOTE, Seen

FRESH_S = 60.0
"""So long an answer may be behind the store, which is asked for every note anew then."""

MOST_NOTES = 500
MOST_BYTES = 32 * 1024 * 1024
AT_ONCE = 8
_TEXTS = ("text/markdown", "text/plain", "text/x-rst")


class Store(Protocol):
    """Where the resources are. Raises Unavailable, and Refused where it may not be asked."""

    async def listing(self) -> Mapping[str, JSONObject]:
        """The definitions of the resources, by address."""
        ...

    async def text(self, address: str) -> str | Question | None:
        """None where the resource is no text, or is gone; what the server asks before it gives it."""
        ...


class _Kept(NamedTuple):
    data: bytes
    stamp: int


class ResourceNotes:
    """A note's path is that of its address. Notes are read here and changed elsewhere; one that the server
    asks a question about is none, and whoever wants it is told so."""

    def __init__(self, store: Store, suffixes: tuple[str, ...], fresh_s: float = FRESH_S) -> None:
        self._store = store
        self._fresh_s = fresh_s
        self._suffixes = suffixes
        self._notes: dict[str, _Kept] = {}
        self._asking: dict[str, str] = {}
        self._stamps = itertools.count(1)
        self._taking = asyncio.Lock()
        self._taken = -fresh_s

    async def refresh(self) -> None:
        async with self._taking:
            if time.monotonic() - self._taken < self._fresh_s:
                return
            wanted = self._paths(await self._store.listing())
            if len(wanted) > MOST_NOTES:
                raise Refused(
                    "vault.too_large", f"the server lists {len(wanted)} notes, a vault holds {MOST_NOTES}"
                )
            room = asyncio.Semaphore(AT_ONCE)

            async def taken(path: str, address: str) -> tuple[str, str | Question | None]:
                async with room:
                    return path, await self._store.text(address)

            found = await asyncio.gather(*(taken(*one) for one in wanted.items()))
            texts = {path: text.encode() for path, text in found if isinstance(text, str)}
            self._notes = self._changed(texts)
            self._asking = {path: text.message for path, text in found if isinstance(text, Question)}
            self._taken = time.monotonic()

    def walk(self) -> Iterator[Seen]:
        for path, kept in self._notes.items():
            yield Seen(path, kept.stamp, len(kept.data))

    def read(self, path: str) -> bytes:
        kept = self._notes.get(path)
        if kept is None:
            self._check_asking(path)
            if not is_plain(path):
                raise InvalidRequest(
                    "vault.path_refused", f"{path[:200]!r} is no path of a note", param="note"
                )
            raise NotFound("vault.no_note", f"there is no note {path[:200]!r}", param="note")
        if len(kept.data) > MAX_NOTE:
            raise TooLarge("vault.note_too_large", f"{path[:200]!r} has more than {MAX_NOTE} bytes")
        return kept.data

    def write(self, path: str, content: bytes, *, expected: str | None) -> None:
        raise Refused("vault.read_only", "a server's resources are read here, and changed by its own tools")

    def _check_asking(self, path: str) -> None:
        """Also by a name without its folder or its suffix: the index knows nothing of such a note."""
        named = {path, *(path + suffix for suffix in self._suffixes)}
        for one, message in self._asking.items():
            if named & {one, one.rpartition("/")[2]}:
                raise Refused(
                    "vault.asks",
                    f"before it gives {one!r} the server asks {message[:500]!r}, which no vault can answer: "
                    "a run that is granted the resource by itself can",
                )

    def _changed(self, found: dict[str, bytes]) -> dict[str, _Kept]:
        if sum(map(len, found.values())) > MOST_BYTES:
            raise Refused("vault.too_large", f"the server's notes are more than {MOST_BYTES} bytes together")
        told: dict[str, _Kept] = {}
        for path, data in found.items():
            before = self._notes.get(path)
            same = before is not None and before.data == data
            told[path] = before if before is not None and same else _Kept(data, next(self._stamps))
        return told

    def _paths(self, listing: Mapping[str, JSONObject]) -> dict[str, str]:
        """Addresses by the paths that notes have of them; of two with one path both are named by digests."""
        found: dict[str, list[str]] = {}
        for address, definition in listing.items():
            path = path_of(address)
            text = definition.get("mimeType") in _TEXTS or path.lower().endswith(self._suffixes)
            if text and is_plain(path):
                found.setdefault(path, []).append(address)
        return {
            path if len(addresses) == 1 else f"{path}~{digest_bytes(address.encode())[7:15]}": address
            for path, addresses in found.items()
            for address in addresses
        }


def path_of(address: str) -> str:
    """`note://ideas/knots.md` is `ideas/knots.md`."""
    parts = urlsplit(address)
    return "/".join(part for part in (unquote(parts.netloc), *unquote(parts.path).split("/")) if part)


def is_plain(path: str) -> bool:
    """Whether a path has only visible names, none of which leads elsewhere."""
    parts = path.split("/")
    named = all(part and not part.startswith(".") and len(part) < 256 for part in parts)
    return named and len(parts) <= MAX_DEPTH and path.isprintable() and "\\" not in path
