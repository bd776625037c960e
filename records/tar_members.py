"""The members of a tar, as their headers describe them: ustar, long names of GNU tar, and pax paths.

The standard library's reader follows more than we want: sizes, links and sparse maps out of pax headers,
whose parsing is quadratic. Here a header that would change where the next one lies is refused.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

BLOCK = 512
_LONGEST = 8 * 1024
_KINDS: dict[bytes, Literal["file", "folder"]] = {b"0": "file", b"\0": "file", b"5": "folder"}
_HARMLESS = frozenset(
    (b"atime", b"charset", b"comment", b"ctime", b"gid", b"gname", b"mtime", b"path", b"uid", b"uname")
)


class TarMember(NamedTuple):
    path: str
    kind: Literal["file", "folder", "other"]
    mode: int
    start: int
    size: int


def tar_members(data: bytes) -> Iterator[TarMember]:
    """Raises ValueError for what does not read."""
    at, named = 0, ""
    while header := data[at : at + BLOCK].rstrip(b"\0"):
        header = header.ljust(BLOCK, b"\0")
        if len(data) < at + BLOCK or not _sums_up(header):
            raise ValueError(f"there is no tar header at byte {at}")
        size, kind = _number(header[124:136]), header[156:157]
        start = at + BLOCK
        if start + size > len(data):
            raise ValueError(f"the member at byte {at} is longer than the archive")
        at = start + -(-size // BLOCK) * BLOCK
        if kind in (b"L", b"x", b"g"):
            if size > _LONGEST:
                raise ValueError(f"the header before byte {at} is too long")
            named = _name_in(kind, data[start : start + size]) or named
            continue
        if kind not in (b"0", b"\0") and size:
            raise ValueError(f"the member before byte {at} has a size, and is no file")
        path, named = named or _path(header), ""
        yield TarMember(path, _kind(kind, path), _number(header[100:108]), start, size)


def _kind(kind: bytes, path: str) -> Literal["file", "folder", "other"]:
    return "folder" if kind == b"\0" and path.endswith("/") else _KINDS.get(kind, "other")


def _name_in(kind: bytes, body: bytes) -> str:
    """The path that a header gives to the member after it."""
    if kind == b"L":
        return body.rstrip(b"\0").decode()
    records: dict[bytes, bytes] = {}
    while body:
        length = int(body.partition(b" ")[0])
        key, _, value = body[:length].partition(b" ")[2].removesuffix(b"\n").partition(b"=")
        if length < 5 or key not in _HARMLESS:
            raise ValueError(f"a header says {key[:32]!r}")
        records[key], body = value, body[length:]
    if kind == b"g" and b"path" in records:
        raise ValueError("a header gives all members one path")
    return records.get(b"path", b"").decode()


def _path(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode()


def _number(field: bytes) -> int:
    digits = field.strip(b" \0")
    if not all(digit in b"01234567" for digit in digits):
        raise ValueError("a number in a header is not octal")
    return int(digits or b"0", 8)


def _sums_up(header: bytes) -> bool:
    return _number(header[148:156]) == sum(header) - sum(header[148:156]) + 8 * ord(" ")
