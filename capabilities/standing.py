"""Standing permissions: commands that somebody allowed beforehand, word for word.

One turns a question of the gate into an answer only where nothing forbids: a question that a `forbid` causes,
that names whom to ask, or that asks because a definition changed, stays a question.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from capabilities.gate import Allow, Ask
from capabilities.plain_command import NotPlain, Plain, plain
from protocol.checkpoint import Required
from protocol.errors import InvalidRequest
from protocol.noun import JSONObject, rfc3339
from protocol.standing import ANY, StandingGrant

TOOL = "bash"
_SPOKEN = frozenset({"command", "timeout_ms", "description"})
_UNTURNED = frozenset({"definition.drift"})


def pattern_of(command: str) -> tuple[str, ...]:
    """The argument vector that a permission is for; a word `*` alone stands for one argument, whatever it is
    (no option). Raises InvalidRequest for what is no plain command."""
    marked = " ".join(_MARK if word == ANY else word for word in command.split(" "))
    found = plain(marked)
    if isinstance(found, NotPlain) or _MARK in command:
        why = found.why if isinstance(found, NotPlain) else f"it may not contain {_MARK!r}"
        raise InvalidRequest("grant.not_plain", f"command: {why}", param="command")
    if any(word == ANY or (_MARK in word and word != _MARK) for word in found.argv):
        raise InvalidRequest("grant.not_plain", "command: `*` stands alone, and unquoted", param="command")
    if found.argv[0] == _MARK:
        raise InvalidRequest("grant.not_plain", "command: the program has to be named", param="command")
    return tuple(ANY if word == _MARK else word for word in found.argv)


def in_words(argv: tuple[str, ...], whom: str, expires_at: datetime | None) -> str:
    """What a person reads before it is saved."""
    told = [f"the program {argv[0]!r}"]
    told += ["any one argument that is no option" if word == ANY else repr(word) for word in argv[1:]]
    if len(argv) == 1:
        told.append("no arguments")
    until = f"until {rfc3339(expires_at)}" if expires_at else "until it is revoked"
    command = ", ".join(told)
    return f"{whom} may run in `bash` without being asked, {until}: {command}; nothing more, nothing less."


def covering(grants: Iterable[StandingGrant], arguments: JSONObject) -> StandingGrant | None:
    """The permission that covers exactly this call."""
    command = arguments.get("command")
    if not isinstance(command, str) or not _SPOKEN.issuperset(arguments):
        return None
    found = plain(command)
    if not isinstance(found, Plain):
        return None
    return next((grant for grant in grants if _fits(grant.argv, found.argv)), None)


def may_turn(ask: Ask, rules: Iterable[str], forbids: Callable[[str], bool]) -> bool:
    """Whether a permission can answer it at all; `rules` are all that make the call ask."""
    open_to_all = ask.required == Required()
    return open_to_all and ask.rule not in _UNTURNED and not any(map(forbids, rules))


def turned(ask: Ask, grant: StandingGrant) -> Allow:
    return Allow(rule=grant.id, reason=f"allowed beforehand: {grant.words}")


def _fits(pattern: tuple[str, ...], argv: tuple[str, ...]) -> bool:
    return len(pattern) == len(argv) and all(
        one == word or (one == ANY and word != "" and not word.startswith("-"))
        for one, word in zip(pattern, argv, strict=True)
    )


_MARK = "RHONE_ANY_ARGUMENT"
