"""APR-08: a standing permission covers one exact command, and no other form rides on it."""

from datetime import UTC, datetime

import pytest

from capabilities.gate import Ask
from capabilities.plain_command import NotPlain, Plain, plain
from capabilities.standing import covering, in_words, may_turn, pattern_of, turned
from protocol.checkpoint import Required
from protocol.errors import InvalidRequest
from protocol.standing import StandingGrant

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def grant(command: str) -> StandingGrant:
    return StandingGrant(
        id="grant_1",
        principal_id="prin_1",
        argv=pattern_of(command),
        words="",
        made_by="prin_1",
        created_at=AT,
    )


WRAPPED = [
    'sh -c "pytest -q"',
    "bash -c 'pytest -q'",
    "/bin/sh -c 'pytest -q'",
    "dash -c 'pytest -q'",
    "busybox sh -c 'pytest -q'",
    "env pytest -q",
    "env -i PATH=/tmp pytest -q",
    "/usr/bin/env pytest -q",
    "PATH=/tmp pytest -q",
    "xargs pytest -q",
    "echo -q | xargs pytest",
    "nohup pytest -q",
    "nice -n 5 pytest -q",
    "timeout 5 pytest -q",
    "time pytest -q",
    "setsid pytest -q",
    "stdbuf -o0 pytest -q",
    "sudo pytest -q",
    "exec pytest -q",
    "eval pytest -q",
    "command pytest -q",
    "builtin pytest -q",
    "python -c 'import pytest'",
    "python3.11 -m pytest -q",
    "perl -e 'exec pytest'",
    "node -e 'x'",
    "git -c core.pager=pytest log",
    "make -f x",
    "npx pytest -q",
    "npm exec pytest",
    "find . -exec pytest -q",
    "awk -f x",
    "parallel pytest -q",
    "script -c 'pytest -q'",
    "ssh localhost pytest -q",
    "/lib64/ld-linux-x86-64.so.2 /bin/pytest -q",
    "$(pytest -q)",
    "`pytest -q`",
    "pytest -q; ls",
    "pytest -q && ls",
    "pytest -q | tee x",
    "pytest -q > x",
    "pytest -q < x",
    "pytest -q &",
    "pytest -q\nls",
    "pytest $X",
    "pytest ${X}",
    "pytest *",
    "pytest ~/x",
    "pytest {a,b}",
    "pytest \\-q",
    'pytest "$(ls)"',
    "(pytest -q)",
    "{ pytest -q; }",
    "! pytest -q",
    "pytest -q # x",
    "pytest <(ls)",
    "pytest\u00a0-q",
    "pytest 'open",
    "if true",
    " ",
    "a" * 5000 + "!",
]


@pytest.mark.parametrize("command", WRAPPED)
def test_apr_08_a_wrapper_form_asks_again(command: str) -> None:
    assert isinstance(plain(command), NotPlain)
    assert covering([grant("pytest -q"), grant("pytest *")], {"command": command}) is None


@pytest.mark.parametrize("command", [one for one in WRAPPED if one != "pytest *"])
def test_a_wrapper_form_is_never_saved(command: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        pattern_of(command)
    assert (refused.value.code, refused.value.param) == ("grant.not_plain", "command")


@pytest.mark.parametrize("command", ["* -q", "pytest '*'", 'pytest "a * b"', "RHONE_ANY_ARGUMENT"])
def test_a_star_stands_for_one_whole_argument_and_no_program(command: str) -> None:
    with pytest.raises(InvalidRequest):
        pattern_of(command)


@pytest.mark.parametrize(
    ("command", "covered"),
    [
        ("pytest -q", True),
        ("  pytest   -q ", True),
        ("'pytest' \"-q\"", True),
        ("pytest", False),
        ("pytest -q -x", False),
        ("./pytest -q", False),
        ("/tmp/pytest -q", False),
        ("pytest -qx", False),
        ("Pytest -q", False),
    ],
)
def test_a_permission_covers_its_argument_vector_and_no_other(command: str, covered: bool) -> None:
    kept = grant("pytest -q")
    assert covering([kept], {"command": command, "timeout_ms": 5}) == (kept if covered else None)


def test_a_star_covers_one_argument_that_is_no_option() -> None:
    kept = [grant("git show *")]
    assert kept[0].argv == ("git", "show", "*")
    for command, covered in (
        ("git show HEAD", True),
        ("git show 'a b'", True),
        ("git show", False),
        ("git show --ext-diff", False),
        ("git show ''", False),
        ("git show a b", False),
    ):
        assert (covering(kept, {"command": command}) is not None) == covered, command


def test_other_arguments_than_the_command_are_not_covered() -> None:
    kept = [grant("pytest -q")]
    assert covering(kept, {"command": "pytest -q", "cwd": "/tmp"}) is None
    assert covering(kept, {"command": ["pytest", "-q"]}) is None
    assert covering(kept, {}) is None


def test_only_an_open_question_is_answered_beforehand() -> None:
    def forbids(rule: str) -> bool:
        return rule == "team.no"

    ask = Ask(rule="request.ask", reason="")
    assert may_turn(ask, ("request.ask", "default.workspace"), forbids)
    assert not may_turn(ask, ("request.ask", "team.no"), forbids)
    assert not may_turn(Ask(rule="definition.drift", reason=""), (), forbids)
    assert not may_turn(ask.model_copy(update={"required": Required(role="release")}), (), forbids)
    assert not may_turn(ask.model_copy(update={"required": Required(count=2)}), (), forbids)
    assert turned(ask, grant("pytest -q")).rule == "grant_1"


def test_what_is_saved_is_said_in_words() -> None:
    assert in_words(("git", "show", "*"), "Ann (prin_1)", AT) == (
        "Ann (prin_1) may run in `bash` without being asked, until 2026-01-02T03:04:05.000Z: "
        "the program 'git', 'show', any one argument that is no option; nothing more, nothing less."
    )
    assert "until it is revoked: the program 'pytest', no arguments" in in_words(("pytest",), "Ann", None)


def test_a_plain_command_is_its_words() -> None:
    assert plain("cp 'a b' \"c d\"e x=1 --to=y") == Plain(("cp", "a b", "c de", "x=1", "--to=y"))
