"""An insert that leaves what is already there alone, on both engines."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

_COUNTED = {"preserve_rowcount": True}


def insert_unless_there(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Whether the row went in: false where a unique value of it was taken."""
    insert = _insert(table, connection.dialect.name)
    return connection.execute(insert, row, execution_options=_COUNTED).rowcount == 1


@cache
def _insert(table: Table, dialect: str) -> Insert:
    kind = sqlite if dialect == "sqlite" else postgresql
    return kind.insert(table).on_conflict_do_nothing()
