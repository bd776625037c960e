"""What Alembic runs: always online, on the connection that it is given."""

from alembic import context

from records import (
    artifact_tables,
    budget_tables,
    mcp_tables,
    memory_tables,
    policy_tables,
    receipt_tables,
    safety_tables,
    setup_tables,
    shadow_tables,
    skill_tables,
    standing_tables,
    taint_tables,
    webhook_tables,
)
from records.tables import metadata

KNOWN = (
    setup_tables,
    artifact_tables,
    safety_tables,
    taint_tables,
    budget_tables,
    mcp_tables,
    memory_tables,
    policy_tables,
    receipt_tables,
    shadow_tables,
    skill_tables,
    standing_tables,
    webhook_tables,
)  # known by import

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True
)
context.run_migrations()
