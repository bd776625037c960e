"""Canaries: secrets that are in use somewhere, and the search for them in everything that is kept or seen."""

import base64
import json
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

from tests.stack import docker

GZIP = b"\x1f\x8b\x08"


def fresh(number: int) -> str:
    """A value that no two tests share, with characters that are written otherwise in a URL."""
    return f"cnry{number}-{os.urandom(9).hex()}+/=%{os.urandom(6).hex()}"


def found(canaries: Sequence[str], things: Iterable[tuple[str, bytes]]) -> list[str]:
    """Where a canary is: its number, the place, and how it is written there."""
    wanted = [(n, how, form) for n, one in enumerate(canaries) for how, form in spellings(one)]
    hits: list[str] = []
    for place, data in things:
        for layer, content in _layers(data):
            hits += [f"canary {n} {how}{layer} in {place}" for n, how, form in wanted if form in content]
    return hits


def spellings(value: str) -> list[tuple[str, bytes]]:
    data = value.encode()
    inner: list[str] = []
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        part = encoded[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        inner += [part, part.replace("+", "-").replace("/", "_")]
    return [
        ("plain", data),
        ("as JSON", json.dumps(value)[1:-1].encode()),
        ("for a URL", quote(value, safe="").encode()),
        ("for a form", quote_plus(value).encode()),
        ("in hex", data.hex().encode()),
        ("in hex", data.hex().upper().encode()),
        *(("in base64", part.encode()) for part in inner),
    ]


def _layers(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The bytes, and what is packed in them."""
    yield "", data
    at = data.find(GZIP)
    while at >= 0:
        with suppress(zlib.error):
            yield ", gzip", zlib.decompressobj(31).decompress(data[at:])
        at = data.find(GZIP, at + 1)


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield f"the file {path.relative_to(folder)}", path.read_bytes()


def arguments() -> Iterator[tuple[str, bytes]]:
    """The command lines of all processes on this machine."""
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield f"the arguments of process {path.parent.name}", path.read_bytes()
        except OSError:
            continue


def of_box(container: str) -> Iterator[tuple[str, bytes]]:
    """What the engine says of a box, and what a process in it sees."""
    yield "the box, as the engine tells it", docker("inspect", container).encode()
    look = (
        "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline; env; find / -xdev -type f -size -64k -newer /proc/1 "
    )
    look += r"-not -path '/proc/*' -not -path '/sys/*' -exec cat {} + 2>/dev/null"
    yield "the box, from inside", docker("exec", container, "sh", "-c", look).encode()
