"""Arguments as a hostile or careless model writes them: read exactly, or told to be none."""

import time

import pytest

from protocol.strict import MAX_DEPTH
from providers.arguments import Arguments, read_arguments

DEEP = 100_000


def nested(levels: int) -> str:
    return '{"a":' * levels + "1" + "}" * levels


def test_what_is_as_deep_as_we_take_is_read() -> None:
    read = read_arguments(nested(MAX_DEPTH), cut=False)
    assert (read.state, read.notices) == ("ok", ())


@pytest.mark.parametrize(
    "raw",
    [
        nested(MAX_DEPTH + 1),
        nested(DEEP),
        '{"a":' * DEEP,
        "[" * DEEP,
        '{"a":' + "[" * DEEP + "]" * DEEP + "}",
        '{"a": NaN}',
        '{"a": -Infinity}',
        '{"a": 1e999}',
        '{"a": 9007199254740993}',
        '{"a": ' + "9" * 100_000 + "}",
        '{"a": 1} {"a": 2}',
        '{"a": 1',
        "{'a': 1}",
        "[1]",
        '"text"',
        "7",
        "\x00",
    ],
    ids=lambda raw: raw[:24],
)
def test_what_is_no_object_of_ours_is_told_at_once_and_never_guessed(raw: str) -> None:
    began = time.process_time()
    read = read_arguments(raw, cut=False)
    assert (read.value, read.state) == ({}, "invalid")
    assert read.notices[0].startswith("the arguments do not parse: ")
    assert time.process_time() - began < 1
    assert read_arguments(raw, cut=True).state == "truncated"


def test_what_was_mended_is_told() -> None:
    assert read_arguments('{"a": 1, "a": 2}', cut=False) == Arguments(
        {"a": 2}, "ok", ("a key stood twice, its last value was kept",)
    )
    assert read_arguments('"{\\"a\\": 1}"', cut=False) == Arguments(
        {"a": 1}, "ok", ("the arguments were encoded twice",)
    )
    assert read_arguments('{}{"a": 1}', cut=False).value == {"a": 1}
    assert read_arguments('{"a": "\\ud800"}', cut=False).value == {"a": "\ufffd"}
