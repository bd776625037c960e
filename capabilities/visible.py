r"""Text made visible: what cannot be seen is written out, what deceives the eye is named.

The written form is exact: every character that a terminal or page would not draw stands as `\u{202e}`, every
byte that is no UTF-8 as `\x{ff}`, and a backslash that would look like one of these as `\u{5c}`. So two
different texts never look the same for lack of ink, and the original can be read back.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator

WIDTH = 120

_DRAWN = frozenset({"L", "N", "P", "S"})
_BLANK = frozenset("\u115f\u1160\u3164\uffa0\u2800\u17b4\u17b5\u180b\u180c\u180d\u180f\u034f\U0001d159")
_SUSPECT = re.compile(r"[^\x20-\x7e]|\\(?=[ux]\{)|(?<! ) ++(?=\n|\Z)")
_WORD = re.compile(r"\w+")
_SPACES = re.compile(r"(?<=\S) {20,}(?=\S)")
_EMPTY_LINES = re.compile(r"\n{10,}")

_TOGETHER = frozenset({"LATIN", "CJK", "HIRAGANA", "KATAKANA", "KATAKANA-HIRAGANA", "HANGUL", "BOPOMOFO"})
_LATIN_TWINS = frozenset(
    "асеорхуіјѕԁһԛԝѵӏүАВЕКМНОРСТХУЅІЈԌԚԜӀҮοανρυικχτΑΒΕΖΗΙΚΜΝΟΡΤΥΧոսօցհԼՏՕ"  # Cyrillic, Greek, Armenian
)
_ASCII_TWINS = frozenset(
    "\u2215\u2044\u2236\ua789\u01c3\u2212\u2010\u2011\u2217\u201a\u2039\u203a\u02c8\u2223"
)


def written(text: str) -> str:
    """The text with everything that cannot be seen written out; line feeds too, so it is one line."""
    return _SUSPECT.sub(lambda found: _write(found[0]), text).replace("\n", "\\u{a}")


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def lines(text: str, *, keep_indentation: bool = False) -> Iterator[str]:
    """A block of text: `| ` begins a line, `: ` continues one that is longer than WIDTH, `(...)` is our word.

    `keep_indentation` leaves the tabs in front of a diff's lines as they are.
    """
    if not text:
        yield "(empty)"
        return
    body = text.rstrip("\n")
    for line in body.split("\n") if body else ():
        yield from _wrapped(_line(line, keep_indentation))
    ends = len(text) - len(body)
    if ends:
        yield f"(ends with {ends} newline{'s' if ends > 1 else ''})"


def _line(line: str, keep_indentation: bool) -> str:
    if not keep_indentation:
        return written(line)
    marker, rest = line[:1], line[1:]
    bare = rest.lstrip("\t")
    if marker not in ("+", "-", " ") or not bare:
        return written(line)
    return marker + rest[: len(rest) - len(bare)] + written(bare)


def _wrapped(line: str) -> Iterator[str]:
    yield f"| {line[:WIDTH]}"
    for at in range(WIDTH, len(line), WIDTH):
        yield f": {line[at : at + WIDTH]}"


def _write(found: str) -> str:
    if found[0] == " ":
        return "\\u{20}" * len(found)
    if found == "\n" or _visible(found):
        return found
    code = ord(found)
    return f"\\x{{{code - 0xDC00:x}}}" if 0xDC80 <= code <= 0xDCFF else f"\\u{{{code:x}}}"


def _visible(char: str) -> bool:
    """Marks belong to a script's own letters; the general ones, which overlay any letter, are written out."""
    if char in _BLANK or char == "\\":
        return False
    category = unicodedata.category(char)
    if category in ("Mn", "Mc"):
        return not unicodedata.name(char, "COMBINING").startswith(("COMBINING", "VARIATION", "MUSICAL"))
    return category[0] in _DRAWN


def deceptions(text: str) -> Iterator[str]:
    """What a reader could take for something else, each in words with the exact characters."""
    chars = {char for char in set(text) if not char.isascii() or not char.isprintable()}
    hidden = sorted(char for char in chars if char not in "\t\n" and not _visible(char))
    if hidden:
        yield f"characters that cannot be seen: {_some(hidden, written)}"
    words = [word for word in dict.fromkeys(_WORD.findall(text)) if not word.isascii()]
    odd = [told for word in words if (told := _odd(word))]
    yield from odd[:20]
    if len(odd) > 20:
        yield f"{len(odd) - 20} more words of mixed or look-alike letters"
    twins = sorted(char for char in chars if not char.isalpha() and _ascii_twin(char))
    if twins:
        yield f"characters that look like ASCII and are not: {_some(twins, _spelt)}"
    if any(unicodedata.bidirectional(char) in ("R", "AL", "AN") for char in chars):
        yield "letters that run from right to left: what is drawn may stand in another order"
    if _SPACES.search(text):
        yield "a long run of spaces inside a line"
    if _EMPTY_LINES.search(text):
        yield "many empty lines in a row"


def _odd(word: str) -> str | None:
    scripts = {_script(char) for char in word if char.isalpha()}
    if len(scripts) > 1 and not scripts <= _TOGETHER:
        return f"the word '{written(word)}' mixes {' and '.join(sorted(scripts))}: {_spelt(word)}"
    letters = [char for char in word if char.isalpha()]
    if scripts == {"LATIN"} or len(letters) < 2:
        return None
    if all(char in _LATIN_TWINS or _ascii_twin(char) for char in letters):
        origin = " and ".join(sorted(scripts))
        return f"the word '{written(word)}' looks Latin and is {origin}: {_spelt(word)}"
    return None


def _script(char: str) -> str:
    return unicodedata.name(char, "UNNAMED").partition(" ")[0]


def _ascii_twin(char: str) -> bool:
    if char in _ASCII_TWINS:
        return True
    plain = unicodedata.normalize("NFKC", char)
    raised = unicodedata.decomposition(char).startswith(("<super>", "<sub>"))
    return len(plain) == 1 and plain.isascii() and plain != " " and not char.isascii() and not raised


def _spelt(text: str) -> str:
    return "".join(char if char.isascii() else f"\\u{{{ord(char):x}}}" for char in text)


def _some(found: list[str], spell: Callable[[str], str]) -> str:
    more = f" and {len(found) - 10} more" if len(found) > 10 else ""
    return ", ".join(map(spell, found[:10])) + more
