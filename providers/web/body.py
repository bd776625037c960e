"""The body of an answer from outside: read and unpacked up to a limit, decoded as it says."""

import codecs
import zlib
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from protocol.errors import Refused

LIMIT = 2 * 1024 * 1024
"""Bytes of a page, as sent and as unpacked; what is beyond is not read."""

_CHARSETS = (
    *("utf-8", "ascii", "utf-16", "utf-16-le", "utf-16-be", "shift_jis", "euc_jp", "iso2022_jp"),
    *("gbk", "gb2312", "gb18030", "big5", "euc_kr", "koi8-r", "koi8-u"),
    *(f"iso8859-{part}" for part in (*range(1, 12), *range(13, 17))),
    *(f"cp{page}" for page in (866, 874, *range(1250, 1259))),
)
_APPLICATION_TEXT = frozenset(
    f"application/{name}"
    for name in (
        "json",
        "xml",
        "javascript",
        "ecmascript",
        "yaml",
        "toml",
        "x-yaml",
        "x-sh",
        "sql",
        "graphql",
    )
)


class Body(NamedTuple):
    """`whole` is False where the answer went on."""

    data: bytes
    whole: bool


async def read_body(encoding: str, chunks: AsyncIterator[bytes]) -> Body:
    """Raises Refused for an encoding that was not asked for, or that is broken."""
    if encoding not in ("", "identity", "gzip", "x-gzip"):
        raise Refused("web.encoding", f"the answer is packed as {encoding[:50]!r}, which was not asked for")
    unpack = zlib.decompressobj(wbits=31).decompress if encoding.endswith("gzip") else None
    data, sent = bytearray(), 0
    async for chunk in chunks:
        sent += len(chunk)
        data += chunk if unpack is None else _unpacked(unpack, chunk, LIMIT + 1 - len(data))
        if len(data) > LIMIT or sent > LIMIT:
            return Body(bytes(data[:LIMIT]), whole=False)
    return Body(bytes(data), whole=True)


def decode(body: bytes, content_type: str) -> str:
    """The text of a body. Raises Refused for what is none, whatever its declared type says."""
    kind, _, rest = content_type.partition(";")
    kind = kind.strip().lower()
    if kind and not is_text(kind):
        raise Refused("web.not_text", f"the answer is {kind[:100]!r}; only text and HTML can be read")
    charset = _charset(rest)
    wide = charset.startswith("utf-16") or body.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if body.startswith((b"%PDF-", b"PK\x03\x04", b"\x7fELF", b"\x1f\x8b")) or (b"\0" in body and not wide):
        declared = f"says that it is {kind[:100]!r}, but it" if kind else "has no declared type, and"
        raise Refused("web.not_text", f"the answer {declared} holds no text")
    return body.decode("utf-16" if wide and charset == "utf-8" else charset, errors="replace").lstrip(
        "\ufeff"
    )


def is_html(content_type: str, text: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    if kind:
        return kind in ("text/html", "application/xhtml+xml")
    return text.lstrip()[:15].lower().startswith(("<!doctype html", "<html"))


def is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind in _APPLICATION_TEXT or kind.endswith(("+json", "+xml", "+yaml"))


def _unpacked(unpack: Callable[[bytes, int], bytes], chunk: bytes, room: int) -> bytes:
    try:
        return unpack(chunk, room)
    except zlib.error as error:
        raise Refused("web.encoding", "the answer says that it is gzip, and is not") from error


def _charset(parameters: str) -> str:
    """A codec that is known to be quick and harmless; UTF-8 for all else."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            try:
                known = codecs.lookup(value.strip().strip("\"'")).name
            except (LookupError, ValueError):
                return "utf-8"
            return known if known in _CHARSETS else "utf-8"
    return "utf-8"
