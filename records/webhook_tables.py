"""The tables of webhooks: the hooks, and the outbox of what each is still to be told, or was."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text, text

from protocol.secret import SecretRef
from records.columns import Document, Instant
from records.tables import metadata

webhooks = Table(
    "webhooks",
    metadata,
    Column("project_id", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("url", Document(str), nullable=False),
    Column("events", Document(tuple[str, ...]), nullable=False),
    Column("declared", Boolean, nullable=False),
    Column("sealed", Text),
    Column("secret_ref", Document(SecretRef)),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

webhook_deliveries = Table(
    "webhook_deliveries",
    metadata,
    Column("id", Text, primary_key=True),
    Column("project_id", Text, nullable=False),
    Column("webhook", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("next_attempt_at", Instant),
    Column("last_attempt_at", Instant),
    Column("last_status", Integer),
    Column("last_error", Document(str)),
    Column("delivered_at", Instant),
    Index(None, "project_id", "webhook", "created_at", "id"),
    Index(
        "ix_webhook_deliveries_due",
        "next_attempt_at",
        sqlite_where=text("state = 'pending'"),
        postgresql_where=text("state = 'pending'"),
    ),
)
