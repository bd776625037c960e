"""Reasoning that open models write into their text between `<think>` and `</think>`."""

from typing import Literal

OPEN, CLOSE = "<think>", "</think>"

Piece = tuple[Literal["text", "reasoning"], str]


class Splitter:
    """Splits text as it arrives; a tag may be cut anywhere. What an unclosed tag opened is reasoning."""

    def __init__(self) -> None:
        self._thinking = False
        self._held = ""

    def feed(self, text: str) -> list[Piece]:
        out: list[Piece] = []
        text = self._held + text
        while True:
            tag = CLOSE if self._thinking else OPEN
            before, found, after = text.partition(tag)
            if not found:
                break
            self._add(out, before)
            self._thinking = not self._thinking
            text = after
        keep = next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if tag.startswith(text[-n:])), 0)
        self._held = text[len(text) - keep :]
        self._add(out, text[: len(text) - keep])
        return out

    def end(self) -> list[Piece]:
        out: list[Piece] = []
        self._add(out, self._held)
        self._held = ""
        return out

    def _add(self, out: list[Piece], text: str) -> None:
        if text:
            out.append(("reasoning" if self._thinking else "text", text))
