"""Budgets of time: what they allow, and the milliseconds in each account."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("budgets", sa.Column("max_seconds", sa.Double(), nullable=True))
    counted = {
        "budget_accounts": ("ms", "held_ms"),
        "budget_reservations": ("ms",),
        "budget_raises": ("ms",),
    }
    for table, names in counted.items():
        for name in names:
            op.add_column(table, sa.Column(name, sa.BigInteger(), nullable=False, server_default="0"))
