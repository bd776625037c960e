"""The table of set-ups: a row for each that can be taken again."""

from sqlalchemy import BigInteger, Column, Table, Text

from records.columns import Instant
from records.tables import metadata

setups = Table(
    "setups",
    metadata,
    Column("org_id", Text, nullable=False),
    Column("project_id", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("created_at", Instant, nullable=False),
)
