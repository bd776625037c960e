"""Lists of the API as a command prints them: JSON for programs, a table for people."""

from collections.abc import Mapping
from typing import Annotated

import typer

from cli import show as tell
from cli.connect import connect
from cli.options import Reach

Limit = Annotated[int, typer.Option(min=1, help="At most so many.")]


def listed(
    reach: Reach, path: str, columns: Mapping[str, str], *, limit: int, empty: str, **query: str | int | None
) -> None:
    """`columns` are the table's: what stands above each, and the field below it."""
    with connect(reach) as client:
        found = list(client.items(path, most=limit, **query))
    if reach.as_json:
        tell.as_json(found)
    else:
        rows = [[one.get(field) for field in columns.values()] for one in found]
        tell.table(list(columns), rows, empty=empty)
