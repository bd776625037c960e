"""The tables of the first version."""

import sqlalchemy as sa
from alembic import op

from records.columns import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def text(name: str) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "events",
        text("run_id"),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        text("type"),
        sa.Column("key", sa.Text(), nullable=True),
        text("data"),
        sa.PrimaryKeyConstraint("run_id", "seq", name="pk_events"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "uq_events_run_id_key",
        "events",
        ["run_id", "key"],
        unique=True,
        sqlite_where=sa.text("key IS NOT NULL"),
        postgresql_where=sa.text("key IS NOT NULL"),
    )
    op.create_table(
        "idempotency",
        text("scope"),
        text("payload_digest"),
        text("state"),
        sa.Column("resource_id", sa.Text(), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("leased_until", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_expires_at", "idempotency", ["expires_at"], unique=False)
    op.create_table(
        "orgs",
        text("id"),
        text("name"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_orgs"),
    )
    op.create_table(
        "policies",
        text("digest"),
        text("text"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_policies"),
    )
    op.create_table(
        "principals",
        text("id"),
        text("org_id"),
        text("project_id"),
        text("name"),
        text("kind"),
        text("roles"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_principals"),
    )
    op.create_index("ix_principals_project_id_id", "principals", ["project_id", "id"], unique=False)
    op.create_table(
        "sessions",
        text("id"),
        text("org_id"),
        text("project_id"),
        sa.Column("external_session_id", sa.Text(), nullable=True),
        sa.Column("actor_id", sa.Text(), nullable=True),
        sa.Column("instructions", sa.Text(), nullable=True),
        text("defaults"),
        sa.Column("phase", sa.Text(), nullable=True),
        text("status"),
        text("metadata"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint(
            "project_id", "external_session_id", name="uq_sessions_project_id_external_session_id"
        ),
    )
    op.create_index(
        "ix_sessions_project_id_created_at_id", "sessions", ["project_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "blocks",
        text("id"),
        text("session_id"),
        text("history"),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("in_head", sa.Boolean(), nullable=False),
        text("body"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_blocks_session_id_sessions"),
        sa.PrimaryKeyConstraint("id", name="pk_blocks"),
        sa.UniqueConstraint("history", "position", name="uq_blocks_history_position"),
    )
    op.create_index(
        "ix_blocks_session_id_created_at_id", "blocks", ["session_id", "created_at", "id"], unique=False
    )
    op.create_table(
        "keys",
        text("id"),
        text("org_id"),
        text("project_id"),
        text("principal_id"),
        text("scopes"),
        sa.Column("actor_id", sa.Text(), nullable=True),
        text("secret_hash"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name="fk_keys_principal_id_principals"),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
    )
    op.create_index("ix_keys_project_id_id", "keys", ["project_id", "id"], unique=False)
    op.create_table(
        "projects",
        text("id"),
        text("org_id"),
        text("name"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name="fk_projects_org_id_orgs"),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    op.create_table(
        "runs",
        text("id"),
        text("org_id"),
        text("project_id"),
        text("principal_id"),
        text("session_id"),
        sa.Column("parent_run_id", sa.Text(), nullable=True),
        text("ancestor_run_ids"),
        sa.Column("stateful", sa.Boolean(), nullable=False),
        text("status"),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        text("model"),
        sa.Column("primary_resolved_model", sa.Text(), nullable=True),
        sa.Column("capability_snapshot_id", sa.Text(), nullable=True),
        text("limits"),
        text("usage"),
        sa.Column("cost_usd", sa.Double(), nullable=True),
        sa.Column("ttft_ms", sa.Integer(), nullable=True),
        sa.Column("step_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tool_count", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("first_seq", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("last_seq", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("inbox_last", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("inbox_heard", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("waiting_for", sa.Text(), nullable=True),
        sa.Column("waiting_since", Instant(), nullable=True),
        sa.Column("waited_ms", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("assessment_outcome", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("started_at", Instant(), nullable=True),
        sa.Column("completed_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_runs_session_id_sessions"),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        postgresql_with={"fillfactor": 70},
    )
    op.create_index(
        "ix_runs_open",
        "runs",
        ["created_at"],
        unique=False,
        sqlite_where=sa.text("completed_at IS NULL"),
        postgresql_where=sa.text("completed_at IS NULL"),
    )
    op.create_index(
        "ix_runs_project_id_created_at_id", "runs", ["project_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "ix_runs_session_id_created_at_id", "runs", ["session_id", "created_at", "id"], unique=False
    )
    op.create_index(
        "uq_runs_one_open_per_session",
        "runs",
        ["session_id"],
        unique=True,
        sqlite_where=sa.text("stateful AND completed_at IS NULL"),
        postgresql_where=sa.text("stateful AND completed_at IS NULL"),
    )
    op.create_table(
        "boxes",
        text("id"),
        text("run_id"),
        text("target"),
        sa.Column("generation", sa.Integer(), nullable=False),
        text("state"),
        text("place"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("released_at", Instant(), nullable=True),
        sa.Column("gone_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_boxes_run_id_runs"),
        sa.PrimaryKeyConstraint("id", name="pk_boxes"),
        sa.UniqueConstraint("run_id", "target", "generation", name="uq_boxes_run_id_target_generation"),
    )
    op.create_index("ix_boxes_state", "boxes", ["state"], unique=False)
    op.create_table(
        "calls",
        text("id"),
        text("org_id"),
        text("project_id"),
        text("session_id"),
        sa.Column("run_id", sa.Text(), nullable=True),
        sa.Column("step", sa.Integer(), nullable=True),
        text("model"),
        text("resolved_model"),
        text("status"),
        sa.Column("attempt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("usage", sa.Text(), nullable=True),
        sa.Column("cost_usd", sa.Double(), nullable=True),
        sa.Column("ttft_ms", sa.Integer(), nullable=True),
        sa.Column("stop_reason", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("request_digest", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("completed_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_calls_run_id_runs"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_calls_session_id_sessions"),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index("ix_calls_run_id_created_at_id", "calls", ["run_id", "created_at", "id"], unique=False)
    op.create_table(
        "checkpoints",
        text("id"),
        text("org_id"),
        text("project_id"),
        text("run_id"),
        text("ancestor_run_ids"),
        text("session_id"),
        text("kind"),
        text("status"),
        sa.Column("tool", sa.Text(), nullable=True),
        sa.Column("tool_execution_id", sa.Text(), nullable=True),
        sa.Column("arguments", sa.Text(), nullable=True),
        sa.Column("envelope", sa.Text(), nullable=True),
        sa.Column("envelope_digest", sa.Text(), nullable=True),
        text("rendered"),
        sa.Column("rule", sa.Text(), nullable=True),
        text("requested_by"),
        text("required"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=False),
        sa.Column("resolved_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_checkpoints_run_id_runs"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_checkpoints_session_id_sessions"),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoints"),
    )
    op.create_index(
        "ix_checkpoints_project_id_status_created_at_id",
        "checkpoints",
        ["project_id", "status", "created_at", "id"],
        unique=False,
    )
    op.create_index("ix_checkpoints_run_id_status", "checkpoints", ["run_id", "status"], unique=False)
    op.create_index(
        "ix_checkpoints_session_id_created_at_id",
        "checkpoints",
        ["session_id", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "inbox",
        text("run_id"),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        text("message"),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_inbox_run_id_runs"),
        sa.PrimaryKeyConstraint("run_id", "position", name="pk_inbox"),
    )
    op.create_table(
        "run_bodies",
        text("run_id"),
        text("request"),
        sa.Column("instructions", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("output_text", sa.Text(), nullable=True),
        sa.Column("output", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_bodies_run_id_runs"),
        sa.PrimaryKeyConstraint("run_id", name="pk_run_bodies"),
    )
    op.create_table(
        "snapshots",
        text("id"),
        text("org_id"),
        text("project_id"),
        text("run_id"),
        text("digest"),
        text("document"),
        text("signature"),
        text("key_id"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_snapshots_run_id_runs"),
        sa.PrimaryKeyConstraint("id", name="pk_snapshots"),
    )
    op.create_table(
        "steps",
        text("run_id"),
        sa.Column("index", sa.Integer(), autoincrement=False, nullable=False),
        text("call_id"),
        sa.Column("tool_count", sa.BigInteger(), server_default="0", nullable=False),
        text("status"),
        sa.Column("tree_checkpoint", sa.Text(), nullable=True),
        sa.Column("started_at", Instant(), nullable=False),
        sa.Column("completed_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_steps_run_id_runs"),
        sa.PrimaryKeyConstraint("run_id", "index", name="pk_steps"),
    )
    op.create_table(
        "tool_executions",
        text("id"),
        text("run_id"),
        text("session_id"),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        text("tool_call_id"),
        text("tool"),
        text("source"),
        text("effect"),
        text("arguments"),
        text("arguments_digest"),
        text("status"),
        sa.Column("attempt", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("is_error", sa.Boolean(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        sa.Column("result_digest", sa.Text(), nullable=True),
        sa.Column("preview", sa.Text(), nullable=True),
        sa.Column("checkpoint_id", sa.Text(), nullable=True),
        sa.Column("stdout_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stderr_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("submitted", sa.Text(), nullable=True),
        sa.Column("submitted_digest", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("started_at", Instant(), nullable=True),
        sa.Column("completed_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_tool_executions_run_id_runs"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_tool_executions_session_id_sessions"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tool_executions"),
    )
    op.create_index(
        "ix_tool_executions_run_id_step_ordinal",
        "tool_executions",
        ["run_id", "step", "ordinal"],
        unique=False,
    )
    op.create_index(
        "ix_tool_executions_session_id_created_at_id",
        "tool_executions",
        ["session_id", "created_at", "id"],
        unique=False,
    )
    op.create_table(
        "trees",
        text("run_id"),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        text("commit"),
        text("tree"),
        sa.Column("bundle_digest", sa.Text(), nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_trees_run_id_runs"),
        sa.PrimaryKeyConstraint("run_id", "step", name="pk_trees"),
    )
    op.create_table(
        "decisions",
        text("checkpoint_id"),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        text("decision"),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoints.id"], name="fk_decisions_checkpoint_id_checkpoints"
        ),
        sa.PrimaryKeyConstraint("checkpoint_id", "ordinal", name="pk_decisions"),
    )
    op.create_table(
        "effects",
        text("tool_execution_id"),
        text("run_id"),
        text("effect"),
        text("state"),
        sa.Column("epoch", sa.BigInteger(), server_default="0", nullable=False),
        text("envelope_digest"),
        sa.Column("prepared", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.Column("claimed_at", Instant(), nullable=True),
        sa.Column("settled_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_effects_run_id_runs"),
        sa.ForeignKeyConstraint(
            ["tool_execution_id"], ["tool_executions.id"], name="fk_effects_tool_execution_id_tool_executions"
        ),
        sa.PrimaryKeyConstraint("tool_execution_id", name="pk_effects"),
    )
    op.create_index("ix_effects_run_id", "effects", ["run_id"], unique=False)
    op.create_table(
        "evidence",
        text("snapshot_id"),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        text("kind"),
        text("body"),
        text("digest"),
        sa.Column("at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["snapshot_id"], ["snapshots.id"], name="fk_evidence_snapshot_id_snapshots"),
        sa.PrimaryKeyConstraint("snapshot_id", "ordinal", name="pk_evidence"),
    )
    # ### end Alembic commands ###


def downgrade() -> None:
    for table in (
        "evidence",
        "effects",
        "decisions",
        "trees",
        "tool_executions",
        "steps",
        "snapshots",
        "run_bodies",
        "inbox",
        "checkpoints",
        "calls",
        "boxes",
        "runs",
        "projects",
        "keys",
        "blocks",
        "sessions",
        "principals",
        "policies",
        "orgs",
        "idempotency",
        "events",
    ):
        op.drop_table(table)
