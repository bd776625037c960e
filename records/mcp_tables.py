"""The tables of accounts at MCP servers, and of the authorizations that wait for their code."""

from sqlalchemy import BigInteger, Column, PrimaryKeyConstraint, Table, Text

from records.columns import Instant
from records.tables import metadata

mcp_accounts = Table(
    "mcp_accounts",
    metadata,
    *(Column(name, Text, nullable=False) for name in ("org_id", "project_id", "principal_id", "server")),
    *(Column(name, Text, nullable=False) for name in ("url", "issuer", "sealed")),
    Column("scope", Text),
    Column("wanted_scope", Text),
    Column("version", BigInteger, nullable=False),
    Column("claimed_until", Instant),
    Column("connected_at", Instant, nullable=False),
    Column("expires_at", Instant),
    Column("ended_at", Instant),
    PrimaryKeyConstraint("project_id", "principal_id", "server"),
)

mcp_authorizations = Table(
    "mcp_authorizations",
    metadata,
    Column("state_digest", Text, primary_key=True),
    *(Column(name, Text, nullable=False) for name in ("org_id", "project_id", "principal_id", "server")),
    Column("sealed", Text, nullable=False),
    Column("expires_at", Instant, nullable=False),
)
