"""Text as a person may be shown it: every character that could hide or reorder others is spelled out."""

import re
import unicodedata

# Unassigned, private, control and format characters, separators but the plain space, and what draws nothing
# although Unicode calls it a letter or a mark.
_BLANK = "\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0"
_HIDDEN = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp", "Zs"})
_SUSPECT = re.compile(r"[^\n\t\x20-\x7e]")


def visible(text: str) -> str:
    """`text` with each invisible character written as its number, `\\u{202e}`; lines and tabs stay."""
    return _SUSPECT.sub(_spelled, text)


def _spelled(match: re.Match[str]) -> str:
    character = match.group()
    code = ord(character)
    drawn_by_choice = 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF
    if drawn_by_choice or character in _BLANK or unicodedata.category(character) in _HIDDEN:
        return f"\\u{{{code:x}}}"
    return character
