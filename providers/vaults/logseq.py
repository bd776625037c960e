"""Notes of Logseq: an outline of blocks, `key:: value`, references to pages and blocks, journals."""

import re
from datetime import date
from pathlib import PurePosixPath
from urllib.parse import unquote

from protocol.noun import JSONObject
from protocol.vault import Link, Note
from providers.vaults.markdown import inline_links, wiki_links, without_code

_PROPERTY = re.compile(r"^\s*(?:- +)?([A-Za-z][\w.-]*)::(.*)$")
_BULLET = re.compile(r"^(\s*)- ?(.*)$")
_BLOCK = re.compile(r"(\{\{embed\s+)?\(\(([0-9A-Za-z-]{4,64})\)\)")
_EMBED = re.compile(r"\{\{embed\s+\[\[")
_TAG = re.compile(r"(?<![^\s(,;])#(?:\[\[([^\[\]\n]+)\]\]|([^\s#\[\]().,;:!?'\"]+))")
_JOURNAL = re.compile(r"(\d{4})[_-](\d\d)[_-](\d\d)")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def logseq(path: str, text: str) -> Note:
    plain = without_code(text)
    properties = _page_properties(plain)
    tags = [one or other for one, other in _TAG.findall(plain)] + _names(properties.get("tags"))
    title = str(properties.get("title") or _title(path))
    pages = [*wiki_links(_EMBED.sub("![[", plain)), *inline_links(path, plain)]
    named = [Link(target=tag) for tag in dict.fromkeys(tags)]
    pointed = [Link(target="", fragment=block, embed=bool(embed)) for embed, block in _BLOCK.findall(plain)]
    return Note(
        title=title,
        aliases=(*_names(properties.get("alias")), *_names(properties.get("aliases")), *_days(path)),
        tags=tuple(dict.fromkeys(tags)),
        properties=properties,
        links=(*pages, *named, *pointed),
        blocks=blocks_of(text),
    )


def blocks_of(text: str) -> dict[str, str]:
    """The blocks that have an `id::`, each with what stands below it in the outline."""
    lines = text.splitlines()
    found: dict[str, str] = {}
    start, depth = 0, 0
    for number, line in enumerate(lines):
        bullet = _BULLET.match(line)
        if bullet:
            start, depth = number, len(bullet[1].expandtabs(2))
        told = _PROPERTY.match(line)
        if told and told[1] == "id":
            found[told[2].strip()] = "\n".join(lines[start : _end(lines, start, depth)])
    return found


def _end(lines: list[str], start: int, depth: int) -> int:
    for number in range(start + 1, len(lines)):
        bullet = _BULLET.match(lines[number])
        if bullet and len(bullet[1].expandtabs(2)) <= depth:
            return number
    return len(lines)


def _page_properties(text: str) -> JSONObject:
    """Those of the first block stand for the page."""
    found: JSONObject = {}
    for line in text.splitlines():
        told = _PROPERTY.match(line)
        if told:
            found[told[1]] = told[2].strip()
        elif line.strip() not in ("", "-"):
            break
    return found


def _names(value: object) -> list[str]:
    parts = str(value or "").split(",")
    return [name for part in parts if (name := part.strip().strip("#").removeprefix("[[").removesuffix("]]"))]


def _title(path: str) -> str:
    stem = PurePosixPath(path).stem
    days = _days(path)
    return days[0] if days else unquote(stem.replace("___", "/"))


def _days(path: str) -> tuple[str, ...]:
    """A journal's day as people and Logseq write it: 2024-01-31, Jan 31st, 2024."""
    found = _JOURNAL.fullmatch(PurePosixPath(path).stem)
    if found is None or "journals" not in PurePosixPath(path).parts[:-1]:
        return ()
    try:
        day = date(int(found[1]), int(found[2]), int(found[3]))
    except ValueError:
        return ()
    last = 0 if day.day in (11, 12, 13) else day.day % 10
    ordinal = {1: "st", 2: "nd", 3: "rd"}.get(last, "th")
    return day.isoformat(), f"{_MONTHS[day.month - 1]} {day.day}{ordinal}, {day.year}"
