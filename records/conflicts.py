"""Inserts that leave what is already there alone, or take its place, on both engines."""

from functools import cache
from typing import Any

from sqlalchemy import Connection, Insert, Table
from sqlalchemy.dialects import postgresql, sqlite

_COUNTED = {"preserve_rowcount": True}


def insert_unless_there(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Whether the row went in: false where a unique value of it was taken."""
    insert = _insert(table, connection.dialect.name)
    return connection.execute(insert, row, execution_options=_COUNTED).rowcount == 1


def insert_over(connection: Connection, table: Table, row: dict[str, Any], **counted: Any) -> None:
    """The row stands in the place of the one with its key; `counted` are columns that go on from that one."""
    kind = sqlite if connection.dialect.name == "sqlite" else postgresql
    insert = kind.insert(table).values(row)
    fresh = {column.name: insert.excluded[column.name] for column in table.c if not column.primary_key}
    keys = list(table.primary_key.columns)
    connection.execute(insert.on_conflict_do_update(index_elements=keys, set_=fresh | counted))


@cache
def _insert(table: Table, dialect: str) -> Insert:
    kind = sqlite if dialect == "sqlite" else postgresql
    return kind.insert(table).on_conflict_do_nothing()
