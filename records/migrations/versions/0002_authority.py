"""The tables of what is decided, kept and proven: one function a noun."""

import sqlalchemy as sa
from alembic import op

from records.columns import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    skills()


def skills() -> None:
    """A row for each version of a skill."""
    op.create_table(
        "skills",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("org_id", "project_id", "name", "version")),
        sa.Column("description", sa.Text(), nullable=False),
        *(sa.Column(name, sa.Text()) for name in ("license", "compatibility")),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("allowed_tools", sa.Text()),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("digest", "files")),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "name", "version", name="pk_skills"),
    )
    columns = ["project_id", "created_at", "name", "version"]
    op.create_index("ix_skills_project_id_created_at_name_version", "skills", columns)
