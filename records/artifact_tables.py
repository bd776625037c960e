"""The table of artifacts: a row for each file that a run kept, which is never changed."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table, Text

from records.columns import Document, Instant
from records.tables import metadata

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("run_id", Text, ForeignKey("runs.id"), nullable=False),
    Column("session_id", Text, nullable=False),
    Column("tool_execution_id", Text, ForeignKey("tool_executions.id"), nullable=False, unique=True),
    Column("name", Document(str), nullable=False),
    Column("path", Document(str), nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("digest", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Index(None, "run_id", "id"),
)
