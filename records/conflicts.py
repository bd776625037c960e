"""An insert that leaves what is already there alone, on both engines."""

from typing import Any

from sqlalchemy import Connection, Table
from sqlalchemy.dialects import postgresql, sqlite


def insert_unless_there(connection: Connection, table: Table, row: dict[str, Any]) -> bool:
    """Whether the row went in: false where a unique value of it was taken."""
    kind = sqlite if connection.dialect.name == "sqlite" else postgresql
    insert = kind.insert(table).values(**row).on_conflict_do_nothing()
    return connection.execute(insert, execution_options={"preserve_rowcount": True}).rowcount == 1
