"""The table of safety decisions. The database refuses to change one."""

from sqlalchemy import Column, Table, Text

from records.columns import Document, Instant
from records.tables import metadata

safety_decisions = Table(
    "safety_decisions",
    metadata,
    *(Column(name, Text, primary_key=True) for name in ("run_id", "stage", "subject", "rule")),
    *(Column(name, Text, nullable=False) for name in ("profile", "disposition")),
    Column("reasons", Document(tuple[str, ...]), nullable=False),
    Column("text_digest", Text, nullable=False),
    Column("at", Instant, nullable=False),
)
