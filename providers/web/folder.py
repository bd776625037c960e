"""A search over the text files of one local folder: no key, no network."""

import asyncio
import re
from pathlib import Path

from protocol.errors import Refused
from providers.web.search import Found

MOST_FILES = 20_000
MOST_BYTES = 256 * 1024
_SUFFIXES = frozenset(
    {".md", ".markdown", ".txt", ".rst", ".org", ".adoc", ".html", ".csv", ".json", ".yaml"}
)
_WORD = re.compile(r"\w+")
_BEFORE, _AFTER = 200, 600


class FolderSearch:
    """Files are read anew at each search: what is found is what is there now. Links that lead out of the
    folder, hidden files and what is no text are left out."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def search(self, query: str, count: int) -> list[Found]:
        words = frozenset(word.casefold() for word in _WORD.findall(query))
        return await asyncio.to_thread(self._search, words, count)

    def _search(self, words: frozenset[str], count: int) -> list[Found]:
        root = self._root.resolve()
        if not root.is_dir():
            raise Refused("search.failed", "the folder that is searched is not there")
        scored: list[tuple[int, int, str, Found]] = []
        for path in self._files(root):
            text = path.read_bytes()[:MOST_BYTES].decode(errors="replace")
            name = path.relative_to(root).as_posix()
            seen = [word.casefold() for word in _WORD.findall(f"{name} {text}")]
            hits = words.intersection(seen)
            if hits:
                often = sum(word in words for word in seen)
                scored.append((-len(hits), -often, name, Found(path.stem, name, _around(text, hits))))
        return [found for *_, found in sorted(scored)[:count]]

    def _files(self, root: Path) -> list[Path]:
        found: list[Path] = []
        for path in sorted(root.rglob("*")):
            hidden = any(part.startswith(".") for part in path.relative_to(root).parts)
            if hidden or path.suffix.lower() not in _SUFFIXES:
                continue
            if path.resolve().is_relative_to(root) and path.is_file():
                found.append(path)
            if len(found) == MOST_FILES:
                break
        return found


def _around(text: str, words: frozenset[str]) -> str:
    """The text around the first word that was asked for."""
    first = next((found for found in _WORD.finditer(text) if found[0].casefold() in words), None)
    start = max(0, (first.start() if first else 0) - _BEFORE)
    return text[start : start + _BEFORE + _AFTER].strip()
