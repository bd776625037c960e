"""Answers on standard output: JSON for programs, words and tables for people."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from capabilities.visible import written


def as_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def done(answer: Any, words: object, *, as_json: bool) -> None:
    """What a command brought about."""
    print(json.dumps(answer, ensure_ascii=False, indent=2) if as_json else words)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Cells side by side, made safe for a terminal and never cut: ids are there to be copied."""
    lines = [[written(_cell(cell)) for cell in row] for row in rows]
    if not lines:
        print(empty)
        return
    lines.insert(0, list(columns))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        print("  ".join(map(str.ljust, line, widths)).rstrip())


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """What is there, a line each."""
    told = [(name, written(_cell(value))) for name, value in pairs if value not in (None, "", [], {})]
    widest = max((len(name) for name, _ in told), default=0)
    for name, value in told:
        print(f"{name:<{widest}}  {value}")


def text(whole: str) -> None:
    """As it is for a file or a program; on a terminal, nothing in it steers that."""
    if sys.stdout.isatty():
        whole = "".join(f"{written(line.expandtabs())}\n" for line in whole.splitlines())
    print(whole, end="")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
