"""The table of memory: a row a version; only the newest has a text, and a row without one is a tombstone.

On SQLite the words lie in `memory_words`, a full-text table of its own; on PostgreSQL in the row.
"""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import TSVECTOR

from protocol.memory import Provenance
from records.columns import Document, Instant
from records.tables import Names, metadata

WORDS = "memory_words"

memories = Table(
    "memories",
    metadata,
    Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    *(Column(name, Text, nullable=False) for name in ("org_id", "project_id", "scope", "owner", "key")),
    Column("version", BigInteger, nullable=False),
    Column("current", Boolean, nullable=False),
    Column("text", Document(str)),
    Column("words", Text().with_variant(TSVECTOR(), "postgresql")),
    Column("labels", Names, nullable=False),
    Column("provenance", Document(Provenance), nullable=False),
    Column("effect_key", Text),
    Column("created_at", Instant, nullable=False),
    Column("expires_at", Instant),
    UniqueConstraint("project_id", "scope", "owner", "key", "version"),
    UniqueConstraint("project_id", "effect_key"),
    Index(
        "ix_memories_current",
        *("project_id", "scope", "owner", "created_at"),
        sqlite_where=text("current"),
        postgresql_where=text("current"),
    ),
    Index("ix_memories_words", "words", postgresql_using="gin"),
)
