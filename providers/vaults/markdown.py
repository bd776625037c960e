"""Notes of Obsidian and of plain documentation: front matter, headings, links, tags, block ids."""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from urllib.parse import unquote

from protocol.front_matter import split_front_matter
from protocol.noun import JSON, JSONObject
from protocol.vault import Link, Note

_CODE = re.compile(
    r"^(`{3,}|~{3,}).*?(?:^\1[`~]*[ \t]*$|\Z)|(`+)(?!`).+?(?<!`)\2(?!`)", re.DOTALL | re.MULTILINE
)
_WIKI = re.compile(r"(!?)\[\[([^\[\]|#\n]*)(?:#([^\[\]|\n]*))?(?:\|([^\[\]\n]*))?\]\]")
_INLINE = re.compile(r"(!?)\[([^\[\]\n]*)\]\(<?([^()<>\s]+)>?(?:\s+\"[^\"\n]*\")?\)")
_TAG = re.compile(r"(?<![^\s(,;])#([\w/-]*[^\W\d][\w/-]*)")
_BLOCK = re.compile(r"^(.*?)(?:^|\s)\^([A-Za-z0-9-]+)[ \t]*$", re.MULTILINE)
_HEADING = re.compile(r"^(#{1,6})[ \t]+(.*)$", re.MULTILINE)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|//|#")


def obsidian(path: str, text: str) -> Note:
    fields, body = _fields(text)
    plain = without_code(body)
    tags = [*_texts(fields.get("tags")), *_texts(fields.get("tag")), *_TAG.findall(plain)]
    return Note(
        title=PurePosixPath(path).stem,
        aliases=(*_texts(fields.get("aliases")), *_texts(fields.get("alias"))),
        tags=_once(tag.removeprefix("#") for tag in tags),
        properties=fields,
        links=(*wiki_links(plain), *inline_links(path, plain)),
        blocks={block: said.strip() for said, block in _BLOCK.findall(plain)},
    )


def docs(path: str, text: str) -> Note:
    fields, body = _fields(text)
    plain = without_code(body)
    heading = _HEADING.search(plain)
    own = fields.get("title")
    title = (
        own
        if isinstance(own, str) and own
        else heading[2].strip(" \t\r#")
        if heading
        else PurePosixPath(path).stem
    )
    return Note(
        title=title,
        tags=_once(_texts(fields.get("tags"))),
        properties=fields,
        links=tuple(inline_links(path, plain)),
    )


def part_of(text: str, fragment: str) -> str | None:
    """The section below a heading (`Heading`, `Heading#Below it`) or the line of a block (`^id`)."""
    _, body = _fields(text)
    if fragment.startswith("^"):
        found = next((said for said, block in _BLOCK.findall(body) if block == fragment[1:]), None)
        return None if found is None else found.strip()
    wanted = [one for one in map(heading_key, fragment.split("#")) if one]
    headings = list(_HEADING.finditer(body))
    for number, heading in enumerate(headings):
        if wanted and heading_key(heading[2]) == wanted[0]:
            wanted.pop(0)
        if not wanted:
            after = (later for later in headings[number + 1 :] if len(later[1]) <= len(heading[1]))
            end = next((later.start() for later in after), len(body))
            return body[heading.start() : end].rstrip()
    return None


def heading_key(text: str) -> str:
    """Obsidian's links drop some punctuation, and the web's anchors put hyphens for blanks."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())


def without_code(text: str) -> str:
    """What looks like a link in code is none; positions of lines are kept."""
    return _CODE.sub(lambda found: "\n" * found[0].count("\n"), text)


def wiki_links(text: str) -> Iterator[Link]:
    for embed, target, fragment, shown in _WIKI.findall(text):
        if target.strip() or fragment:
            yield Link(
                target=target.strip(), fragment=fragment or None, text=shown or None, embed=bool(embed)
            )


def inline_links(path: str, text: str) -> Iterator[Link]:
    """Links by path, from where the note stands; those to other places are none of the vault's."""
    for embed, shown, address in _INLINE.findall(text):
        if _SCHEME.match(address):
            continue
        where, _, fragment = unquote(address).partition("#")
        target = _joined(path, where)
        if target is not None:
            yield Link(target=target, fragment=fragment or None, text=shown or None, embed=bool(embed))


def _joined(path: str, relative: str) -> str | None:
    """None where the link leaves the vault."""
    parts = [] if relative.startswith("/") else path.split("/")[:-1]
    for part in relative.split("/"):
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts) or None


def _fields(text: str) -> tuple[JSONObject, str]:
    """A note with broken front matter is a note all the same."""
    try:
        fields, body = split_front_matter(text)
    except ValueError:
        return {}, text
    return fields or {}, body


def _texts(value: JSON) -> list[str]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return [str(item) for item in value if item] if isinstance(value, list) else []


def _once(names: Iterator[str] | list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
