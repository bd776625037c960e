"""Answers on standard output: JSON for programs, words and tables for people."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from capabilities.visible import written


def as_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False, indent=2))


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Cells as they are, made safe for a terminal; where nobody watches, wide enough for all of them."""
    console = Console(highlight=False)
    drawn = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*(Text(written(_cell(cell))) for cell in row))
    if not drawn.row_count:
        print(empty)
    elif console.is_terminal:
        console.print(drawn)
    else:
        Console(highlight=False, width=10_000).print(drawn, soft_wrap=True)


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """What is there, a line each."""
    told = [(name, written(_cell(value))) for name, value in pairs if value not in (None, "", [], {})]
    widest = max((len(name) for name, _ in told), default=0)
    for name, value in told:
        print(f"{name:<{widest}}  {value}")


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)
