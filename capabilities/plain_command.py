"""Plain commands: one program with its arguments, and nothing by which a shell would do anything else."""

import re
from typing import NamedTuple

_WORD = r"[A-Za-z0-9_./,:@+%=-]"
_PLAIN = re.compile(rf"(?:{_WORD}|'[^'\x00-\x1f\x7f]*'|\"[^\"\\$`!\x00-\x1f\x7f]*\"|[ \t])+")
_PIECE = re.compile(rf"({_WORD}+)|'([^']*)'|\"([^\"]*)\"|([ \t]+)")
_PROGRAM = re.compile(r"[A-Za-z0-9_./+-]+")

_LISTED = """
sh bash dash ash zsh ksh mksh fish csh tcsh rbash busybox toybox env xargs parallel nohup nice ionice
chrt taskset timeout time setsid stdbuf unbuffer sudo su doas runuser setpriv chroot unshare nsenter
flock script watch strace ltrace gdb valgrind exec eval command builtin source . trap coproc if while
until for case select function alias enable python pypy perl ruby node nodejs deno bun php lua tclsh
awk gawk mawk nawk sed ed ex vi vim nvim emacs nano less more man find fd make gmake ninja just npm npx
pnpm yarn corepack pip pipx uv uvx poetry tox nox cargo go mvn gradle ant java ssh scp rsync tar zip
docker podman kubectl crontab at batch systemd-run start-stop-daemon dpkg apt apt-get ld.so
"""
WRAPPERS = frozenset(_LISTED.split())
"""Programs whose arguments are programs: what they would do is not told by their own name."""


class Plain(NamedTuple):
    argv: tuple[str, ...]


class NotPlain(NamedTuple):
    why: str


def plain(command: str) -> Plain | NotPlain:
    """The argument vector of a command, or why it has none that can be trusted."""
    if not command.isascii() or not command.strip() or _PLAIN.fullmatch(command) is None:
        return NotPlain(
            "it is not one plain command: no pipes, substitutions, redirections, patterns, variables, "
            "escapes or line ends, and ASCII only"
        )
    argv = _split(command)
    program = argv[0]
    if _PROGRAM.fullmatch(program) is None:
        return NotPlain(f"{program!r} is no name of a program (an assignment before a command is none)")
    return _wrapping(argv) or Plain(argv)


def _split(command: str) -> tuple[str, ...]:
    words: list[str] = []
    current: str | None = None
    for bare, single, double, blank in _PIECE.findall(command):
        if blank:
            if current is not None:
                words.append(current)
            current = None
        else:
            current = (current or "") + bare + single + double
    return tuple(words if current is None else [*words, current])


def _wrapping(argv: tuple[str, ...]) -> NotPlain | None:
    name = argv[0].rpartition("/")[2]
    if name in WRAPPERS or name.rstrip("0123456789.") in WRAPPERS or name.startswith("ld-linux"):
        return NotPlain(f"{name!r} runs other programs")
    if name == "git" and len(argv) > 1 and argv[1].startswith("-"):
        return NotPlain("an option of git before its subcommand can make it run other programs")
    return None
