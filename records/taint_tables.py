"""The table of taint: which labels a history has taken on, and by which result."""

from sqlalchemy import Column, Table, Text

from records.columns import Instant
from records.tables import metadata

taints = Table(
    "taints",
    metadata,
    Column("history", Text, primary_key=True),
    Column("label", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("tool_execution_id", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
