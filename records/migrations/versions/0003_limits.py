"""Budgets of time, sealed secrets of webhooks, accounts at MCP servers: one function a noun."""

from typing import Any

import sqlalchemy as sa
from alembic import context, op

from protocol.errors import InvalidRequest
from records.columns import Instant
from records.seal import Seal

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    budgets()
    webhooks()
    mcp_accounts()


def budgets() -> None:
    """What they allow, and the milliseconds in each account."""
    op.add_column("budgets", sa.Column("max_seconds", sa.Double(), nullable=True))
    counted = {
        "budget_accounts": ("ms", "held_ms"),
        "budget_reservations": ("ms",),
        "budget_raises": ("ms",),
    }
    for table, names in counted.items():
        for name in names:
            op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))


def webhooks() -> None:
    """What stood in plain text is sealed, under the pepper of the deployment."""
    op.add_column("webhooks", sa.Column("sealed", sa.Text(), nullable=True))
    columns = (sa.column(name, sa.Text()) for name in ("project_id", "name", "secret", "sealed"))
    hooks = sa.table("webhooks", *columns)
    connection = op.get_bind()
    found = connection.execute(sa.select(hooks).where(hooks.c.secret.is_not(None))).all()
    pepper: bytes | None = context.config.attributes.get("pepper")
    for hook in found:
        if pepper is None:
            message = (
                "secrets of webhooks are to be sealed: the gateway and `rhone up` have the pepper for it"
            )
            raise InvalidRequest("config.invalid", message)
        sealed = Seal(pepper).close(hook.secret, "webhook", hook.project_id, hook.name)
        this = (hooks.c.project_id == hook.project_id, hooks.c.name == hook.name)
        connection.execute(sa.update(hooks).where(*this).values(sealed=sealed))
    op.drop_column("webhooks", "secret")


def mcp_accounts() -> None:
    """The accounts of principals at MCP servers, and what waits for a code."""
    op.create_table(
        "mcp_accounts",
        *texts("org_id", "project_id", "principal_id", "server", "url", "issuer", "sealed"),
        *(sa.Column(name, sa.Text(), nullable=True) for name in ("scope", "wanted_scope")),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("claimed_until", Instant(), nullable=True),
        sa.Column("connected_at", Instant(), nullable=False),
        *(sa.Column(name, Instant(), nullable=True) for name in ("expires_at", "ended_at")),
        sa.PrimaryKeyConstraint("project_id", "principal_id", "server", name="pk_mcp_accounts"),
    )
    op.create_table(
        "mcp_authorizations",
        *texts("state_digest", "org_id", "project_id", "principal_id", "server", "sealed"),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("state_digest", name="pk_mcp_authorizations"),
    )


def texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]
