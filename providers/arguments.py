"""The arguments of a tool call, read from what a model wrote: never guessed, never cut short silently."""

import json
import math
import re
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from protocol.block import ArgumentsState
from protocol.digest import MAX_SAFE
from protocol.noun import JSON, JSONObject
from protocol.strict import MAX_DEPTH

_SURROGATE = re.compile("[\ud800-\udfff]")


class Arguments(NamedTuple):
    """`notices` say, in words, what was not as it should be."""

    value: JSONObject
    state: ArgumentsState
    notices: tuple[str, ...] = ()


def read_arguments(raw: str, *, cut: bool) -> Arguments:
    """What a closed call's buffer means; `cut` where the output limit ended the answer."""
    if raw.strip() in ("", "null"):
        return Arguments({}, "truncated" if cut else "empty")
    notices: list[str] = []
    try:
        value = _object(raw, notices)
    except ValueError as error:
        return Arguments({}, "truncated" if cut else "invalid", (f"the arguments do not parse: {error}",))
    return Arguments(value, "ok", tuple(notices))


def _object(raw: str, notices: list[str]) -> JSONObject:
    value, end = _read(raw, 0, notices)
    if value == {} and raw[end:].strip():
        value, end = _read(raw, end, notices)
        notices.append("an empty object stood before the arguments")
    if raw[end:].strip():
        raise ValueError(f"something follows the arguments at character {end}")
    if isinstance(value, str):
        value, end = _read(value, 0, notices)
        notices.append("the arguments were encoded twice")
    if not isinstance(value, dict):
        raise ValueError("they are not an object")
    return {_whole(key, notices): _clean(item, notices, 2) for key, item in value.items()}


def _read(raw: str, start: int, notices: list[str]) -> tuple[JSON, int]:
    try:
        return _decoder(notices.append).raw_decode(raw, start + _blank(raw, start))
    except RecursionError as error:
        raise ValueError(f"they nest deeper than {MAX_DEPTH} levels") from error


def _blank(raw: str, start: int) -> int:
    return len(raw) - start - len(raw[start:].lstrip(" \t\r\n"))


def _clean(value: JSON, notices: list[str], depth: int) -> JSON:
    """What JSON text may hold and a digest may not is refused; a lone surrogate is replaced."""
    if isinstance(value, str):
        return _whole(value, notices)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("a number is out of range")
    if isinstance(value, int) and abs(value) > MAX_SAFE:
        raise ValueError("an integer does not fit an IEEE double exactly")
    if isinstance(value, dict | list) and depth > MAX_DEPTH:
        raise ValueError(f"they nest deeper than {MAX_DEPTH} levels")
    if isinstance(value, dict):
        return {_whole(key, notices): _clean(item, notices, depth + 1) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, notices, depth + 1) for item in value]
    return value


def _whole(text: str, notices: list[str]) -> str:
    if _SURROGATE.search(text) is None:
        return text
    notices.append("a lone surrogate was replaced")
    return _SURROGATE.sub("\ufffd", text)


def _decoder(notice: Callable[[str], None]) -> json.JSONDecoder:
    def pairs(items: list[tuple[str, JSON]]) -> dict[str, JSON]:
        value = dict(items)
        if len(value) < len(items):
            notice("a key stood twice, its last value was kept")
        return value

    def constant(name: str) -> NoReturn:
        raise ValueError(f"{name} is not a JSON number")

    return json.JSONDecoder(object_pairs_hook=pairs, parse_constant=constant)
