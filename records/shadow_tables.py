"""The table of what a candidate policy would have said otherwise."""

from sqlalchemy import Column, Index, Table, Text

from records.columns import Instant
from records.tables import metadata

policy_differences = Table(
    "policy_differences",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("run_id", "execution", "tool", "candidate")),
    *(Column(name, Text, nullable=False) for name in ("org_id", "project_id", "answer", "rule")),
    *(Column(name, Text, nullable=False) for name in ("would_answer", "would_rule")),
    Column("at", Instant, nullable=False),
    Index(None, "at"),
)
