"""Masks: known secrets taken out of text, however they are spelled in it."""

import base64
import html
import re
from collections.abc import Iterable

MASK = "[redacted]"
SHORTEST = 6
"""A shorter value would mask ordinary words."""

_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+")
_LETTERS = {"\n": "n", "\r": "r", "\t": "t", "\b": "b", "\f": "f", "/": "/"}
_URL_SAFE = str.maketrans("+/", "-_")


class Mask:
    """Takes one value out of texts: as it is, in hexadecimal and in Base64, and escaped, once or twice, for
    JSON, Python, HTML or a URL."""

    def __init__(self, value: str) -> None:
        plain = _PLAIN.fullmatch(value) is not None
        data = value.encode(errors="surrogatepass")
        literal = {value, data.hex(), data.hex().upper(), *base64_cores(data)}
        self._literal = sorted(literal, key=len, reverse=True)
        self._written = None if plain else re.compile(_pattern(value), re.IGNORECASE)

    def out_of(self, text: str) -> str:
        if self._written is not None:
            text = self._written.sub(MASK, text)
        for spelling in self._literal:
            text = text.replace(spelling, MASK)
        return text


class Masking:
    """Takes values out of a text that comes in pieces, also where one lies across them. What is told by
    `piece` and `rest` is the whole text."""

    def __init__(self, values: Iterable[str]) -> None:
        self._values = [value for value in values if len(value) >= SHORTEST]
        self._held = ""

    def piece(self, text: str) -> str:
        """What can be told of it by now."""
        text = self._held + text
        for value in self._values:
            text = text.replace(value, MASK)
        keep = max((_begun(text, value) for value in self._values), default=0)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def rest(self) -> str:
        held, self._held = self._held, ""
        return held


def _begun(text: str, value: str) -> int:
    """How many characters at the end may be the beginning of the value."""
    longest = min(len(text), len(value) - 1)
    return next((size for size in range(longest, 0, -1) if text.endswith(value[:size])), 0)


def base64_cores(data: bytes) -> Iterable[str]:
    """The part of its Base64 that no neighbour changes, wherever it begins, in both alphabets."""
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + data).decode()
        inner = encoded[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        yield from (inner, inner.translate(_URL_SAFE))


def _pattern(value: str) -> str:
    """Each character in any of the ways in which it is written; a run of backslashes counts as one."""
    return "".join(_run(part) if part[0] == "\\" else _character(part) for part in _parts(value))


def _parts(value: str) -> list[str]:
    return re.findall(r"\\+|[^\\]", value, re.DOTALL)


def _run(backslashes: str) -> str:
    most = 8 * len(backslashes)
    return rf"(?:\\{{{len(backslashes)},{most}}}|(?:%5c){{{len(backslashes)}}})"


def _character(char: str) -> str:
    if _PLAIN.fullmatch(char):
        return f"(?-i:{re.escape(char)})"
    units = char.encode("utf-16-be", errors="surrogatepass").hex()
    octets = char.encode(errors="surrogatepass")
    ways = [
        "".join(rf"\\{{1,8}}u{units[at : at + 4]}" for at in range(0, len(units), 4)),
        rf"\\{{1,8}}U{ord(char):08x}",
        "".join(f"%{octet:02x}" for octet in octets),
        "".join(rf"\\{{1,8}}x{octet:02x}" for octet in octets),
    ]
    if ord(char) < 256:
        ways.append(rf"\\{{1,8}}x{ord(char):02x}")
    if char in _LETTERS:
        ways.append(rf"\\{{1,8}}(?-i:{_LETTERS[char]})")
    if char == " ":
        ways.append(r"\+")
    if html.escape(char) != char:
        ways.append(re.escape(html.escape(char)))
    ways.append((r"\\{0,8}" if char in "\"'" else "") + f"(?-i:{re.escape(char)})")
    return f"(?:{'|'.join(ways)})"
