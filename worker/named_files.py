"""The files of the work tree that an act names: who approves the act approves their content as well.

What a named file loads or runs in its turn is not covered, nor what stands outside of the work tree or is a
folder. A name that is made while the command runs (`$X`, `*.sh`) is none of its words.
"""

import asyncio
import re
import shlex
from collections.abc import Iterable, Mapping

from protocol.digest import digest_bytes
from protocol.errors import TargetLost, TargetRefused
from targets.paths import inside
from targets.target import Target

MOST_WORDS = 512
MOST_BYTES = 4 * 1024 * 1024
ABSENT = "absent"

_AT_ONCE = 16
_BETWEEN = re.compile(r"""[\s;|&<>()'"`{},=:]+""")
_LIKE_A_FILE = re.compile(r"(.*/.*[^/]|.*\.[A-Za-z][A-Za-z0-9]{0,9})")


async def digests(target: Target, command: str, most: int = MOST_BYTES) -> dict[str, str]:
    """By its path the digest of each file that is a word of the command; a word that could only be a file
    and is none yet stands as absent, so that it cannot come into being after the approval."""
    words = named(command)
    if len(words) > MOST_WORDS:
        message = (
            f"a command of more than {MOST_WORDS} different words cannot be put before a person: "
            "write it into a file, and run that"
        )
        raise TargetRefused("target.command_refused", message, param="command")
    found: dict[str, str] = {}
    for start in range(0, len(words), _AT_ONCE):
        some = words[start : start + _AT_ONCE]
        held_now = await asyncio.gather(*(digest_of(target, path, most) for path in some))
        for path, held in zip(some, held_now, strict=True):
            if held is not None and (held != ABSENT or _LIKE_A_FILE.fullmatch(path)):
                found[path] = held
    return found


async def digest_of(target: Target, path: str, most: int = MOST_BYTES) -> str | None:
    """None for a folder, and for what the box cannot have."""
    try:
        data = await target.read(path, limit=most + 1)
    except TargetLost:
        raise
    except TargetRefused as refused:
        return ABSENT if refused.code == "target.not_found" else None
    if len(data) > most:
        message = f"{path} has more than {most} bytes: an approval cannot cover it"
        raise TargetRefused("target.too_large", message)
    return digest_bytes(data)


def named(command: str) -> list[str]:
    """The words of a command that may be paths in the work tree, each once, as they are read there."""
    try:
        quoted = shlex.split(command, comments=False)
    except ValueError:  # a quotation that does not end: the shell will say so
        quoted = []
    paths: dict[str, None] = {}
    for word in (*quoted, *_BETWEEN.split(command)):
        if not word or len(word) > 1024 or "\n" in word:
            continue
        try:
            path = inside(word)
        except TargetRefused:
            continue
        if path != ".":
            paths[path] = None
    return list(paths)


def changed(approved: Mapping[str, str], now: Mapping[str, str]) -> str | None:
    """Which files are not what was approved, in words; None where all are."""
    other = sorted(path for path in {*approved, *now} if approved.get(path) != now.get(path))
    return _list(other) if other else None


def _list(paths: Iterable[str]) -> str:
    names = list(paths)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
