"""The table of the projects' policies: a row for each version of a named text, never changed."""

from sqlalchemy import BigInteger, Column, Index, Table, Text

from records.columns import Document, Instant
from records.tables import metadata

project_policies = Table(
    "project_policies",
    metadata,
    Column("org_id", Text, nullable=False),
    Column("project_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("version", BigInteger, primary_key=True, autoincrement=False),
    Column("digest", Text, nullable=False),
    Column("text", Document(str), nullable=False),
    Column("put_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "project_id", "created_at", "name", "version"),
)
