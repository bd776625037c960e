"""Text made visible: nothing is hidden, nothing is lost."""

import re
import unicodedata
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capabilities.visible import deceptions, lines, text_of, written

ANY = st.text(st.characters(codec="utf-8")) | st.text(alphabet="\\u{x5c}\n \ta", max_size=20)


_WRITTEN = re.compile(r"\\([ux])\{([0-9a-f]+)\}")


def read_back(shown: str) -> str:
    """The text that `written` was given (bytes that are no UTF-8 as surrogate escapes)."""

    def char(found: re.Match[str]) -> str:
        code = int(found[2], 16)
        return chr(code + 0xDC00 if found[1] == "x" else code)

    return _WRITTEN.sub(char, shown)


def whole(block: Iterable[str]) -> str:
    """The text that a block was made of: what our own words and marks say is undone."""
    out, newlines = "", ""
    for line in block:
        if line.startswith("| "):
            out += "\n" + line[2:]
        elif line.startswith(": "):
            out += line[2:]
        elif line.startswith("(ends with "):
            newlines = "\n" * int(line.split()[2])
    return read_back(out[1:]) + newlines


def drawn(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] in "LMNPS"


@settings(max_examples=5 * settings.default.max_examples)
@given(ANY)
def test_a_line_is_read_back_exactly_and_draws_every_character(text: str) -> None:
    line = written(text)
    assert read_back(line) == text
    assert all(map(drawn, line))
    assert not line.endswith(" ")


@settings(max_examples=5 * settings.default.max_examples)
@given(ANY)
def test_a_block_is_read_back_exactly_and_draws_every_character(text: str) -> None:
    block = list(lines(text))
    assert whole(block) == text
    assert all(drawn(char) for line in block for char in line)


@given(st.binary())
def test_bytes_that_are_no_text_are_read_back_exactly(data: bytes) -> None:
    for keep in (False, True):
        block = lines(text_of(data), keep_indentation=keep)
        assert whole(block).encode("utf-8", "surrogateescape") == data


@given(ANY, ANY)
def test_two_texts_never_look_the_same_for_lack_of_ink(one: str, other: str) -> None:
    assert (list(lines(one)) == list(lines(other))) is (one == other)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ls", ["| ls"]),
        ("", ["(empty)"]),
        ("\n", ["(ends with 1 newline)"]),
        ("a\nb\n\n", ["| a", "| b", "(ends with 2 newlines)"]),
        ("a  \nb", ["| a\\u{20}\\u{20}", "| b"]),
        ("\ta\tb", ["| \\u{9}a\\u{9}b"]),
        ("\\u{202e}", ["| \\u{5c}u{202e}"]),
        ("C:\\users", ["| C:\\users"]),
        ("x" * 250, [f"| {'x' * 120}", f": {'x' * 120}", f": {'x' * 10}"]),
    ],
)
def test_a_block_looks_as_it_is(text: str, shown: list[str]) -> None:
    assert list(lines(text)) == shown


def test_the_indentation_of_a_diff_stays_and_its_other_tabs_do_not() -> None:
    text = "+\t\tif a:\tb\n-\t\n \tx\r\n"
    assert list(lines(text, keep_indentation=True)) == [
        "| +\t\tif a:\\u{9}b",
        "| -\\u{9}",
        "|  \tx\\u{d}",
        "(ends with 1 newline)",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "ls -la | grep 'x' && echo \"$HOME\" > /tmp/x",
        "Grüße, naïve café",
        "日本語のテキスト",
        "Я иду домой",
        "x² — “ok” …",
    ],
)
def test_honest_text_is_not_suspected(text: str) -> None:
    assert list(deceptions(text)) == []


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("p\u0430ypal", "the word 'p\u0430ypal' mixes CYRILLIC and LATIN: p\\u{430}ypal"),
        ("\u0441\u043e\u0440\u0443", "looks Latin and is CYRILLIC: \\u{441}\\u{43e}\\u{440}\\u{443}"),
        ("\u03bf\u03c1\u03c4", "looks Latin and is GREEK"),
        ("rm \uff0d\uff52\uff46", "look like ASCII and are not: \\u{ff0d}"),
        ("\uff52\uff46", "looks Latin and is FULLWIDTH"),
        ("a\u2215b", "look like ASCII and are not: \\u{2215}"),
        ("a\u037e b", "look like ASCII and are not: \\u{37e}"),
        ("a\u202eb", "cannot be seen: \\u{202e}"),
        ("\u05d0\u05d1", "right to left"),
        ("ls" + " " * 200 + "; rm -rf /", "a long run of spaces inside a line"),
        ("ls" + "\n" * 50 + "rm -rf /", "many empty lines in a row"),
    ],
)
def test_what_deceives_the_eye_is_named(text: str, told: str) -> None:
    assert any(told in deception for deception in deceptions(text))


def test_many_deceptions_are_counted_and_not_dropped() -> None:
    words = " ".join(f"p\u0430{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(50))
    assert "30 more words of mixed or look-alike letters" in list(deceptions(words))
