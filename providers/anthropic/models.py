"""What a model takes, read from its name: versions of the Messages API differ by model, not by header."""

import re
from dataclasses import dataclass
from typing import Literal

_NAME = re.compile(
    r"claude-(?:(?P<before>\d(?:[-.]\d)?)-)?(?P<family>opus|sonnet|haiku|fable|mythos)"
    r"(?:-(?P<after>\d(?:[-.]\d)?)(?!\d))?"
)
_NEWEST = (99, 0)


@dataclass(frozen=True)
class Traits:
    """`thinking`: a model is told how much to think by an effort, by a number of tokens, or not at all.
    `forced` is whether it can be made to call a tool, `inner_system` whether system text may stand between
    its messages."""

    max_tokens: int
    thinking: Literal["adaptive", "budget", "none"]
    always_thinks: bool = False
    extra_effort: bool = False
    sampling: bool = True
    forced: bool = True
    inner_system: bool = False


_FOREIGN = Traits(max_tokens=8192, thinking="budget")
"""Other makers' models behind the same API: the oldest form of everything."""


def traits_of(model: str) -> Traits:
    found = _NAME.search(model.lower())
    if found is None:
        return _FOREIGN
    family, version = found["family"], _version(found["before"] or found["after"])
    always = family in ("fable", "mythos") or (family == "opus" and version >= (5, 5))
    return Traits(
        max_tokens=_longest(family, version),
        thinking="none" if version < (3, 7) else "budget" if version < (4, 6) else "adaptive",
        always_thinks=always,
        extra_effort=version >= (4, 7),
        sampling=version < (4, 7),
        forced=not always or version < (5, 1),
        inner_system=version >= (4, 8) and (family, version) != ("sonnet", (5, 0)),
    )


def _version(text: str | None) -> tuple[int, int]:
    if text is None:
        return _NEWEST
    major, _, minor = text.replace(".", "-").partition("-")
    return int(major), int(minor or 0)


def _longest(family: str, version: tuple[int, int]) -> int:
    if version < (3, 7):
        return 4096 if version < (3, 5) else 8192
    if family == "opus" and version < (4, 5):
        return 32_000
    return 64_000 if family == "haiku" or version < (4, 6) else 128_000
