"""Budgets of time, and webhooks whose secrets are sealed: one function a noun."""

import sqlalchemy as sa
from alembic import context, op

from protocol.errors import InvalidRequest
from records.seal import Seal

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    budgets()
    webhooks()


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
