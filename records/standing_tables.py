"""The table of standing permissions."""

from sqlalchemy import Column, Index, Table, Text

from records.columns import Document, Instant
from records.tables import metadata

standing_grants = Table(
    "standing_grants",
    metadata,
    Column("id", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("org_id", "project_id")),
    Column("principal_id", Text),
    Column("tool", Text, nullable=False),
    Column("argv", Document(tuple[str, ...]), nullable=False),
    Column("words", Document(str), nullable=False),
    Column("made_by", Text, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("revoked_at", Instant),
    Index(None, "project_id", "created_at", "id"),
)
