"""The tables of the first version."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from records.columns import Instant

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def texts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=False) for name in names]


def maybes(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=True) for name in names]


def counts(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in names]


def at(name: str) -> sa.Column[Any]:
    return sa.Column(name, Instant(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "events",
        *texts("run_id"),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        *texts("type"),
        *maybes("key"),
        *texts("data"),
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
        *texts("scope", "payload_digest", "state"),
        *maybes("resource_id"),
        sa.Column("status", sa.Integer(), nullable=True),
        at("leased_until"),
        at("expires_at"),
        sa.PrimaryKeyConstraint("scope", name="pk_idempotency"),
    )
    op.create_index("ix_idempotency_expires_at", "idempotency", ["expires_at"])
    op.create_table(
        "orgs", *texts("id", "name"), at("created_at"), sa.PrimaryKeyConstraint("id", name="pk_orgs")
    )
    op.create_table(
        "policies",
        *texts("digest", "text"),
        at("created_at"),
        sa.PrimaryKeyConstraint("digest", name="pk_policies"),
    )
    op.create_table(
        "principals",
        *texts("id", "org_id", "project_id", "name", "kind", "roles"),
        at("created_at"),
        sa.PrimaryKeyConstraint("id", name="pk_principals"),
    )
    op.create_index("ix_principals_project_id_id", "principals", ["project_id", "id"])
    op.create_table(
        "sessions",
        *texts("id", "org_id", "project_id"),
        *maybes("external_session_id", "actor_id", "instructions"),
        *texts("defaults"),
        *maybes("phase"),
        *texts("status", "metadata"),
        at("created_at"),
        at("updated_at"),
        sa.PrimaryKeyConstraint("id", name="pk_sessions"),
        sa.UniqueConstraint(
            "project_id", "external_session_id", name="uq_sessions_project_id_external_session_id"
        ),
    )
    op.create_index("ix_sessions_project_id_created_at_id", "sessions", ["project_id", "created_at", "id"])
    op.create_table(
        "blocks",
        *texts("id", "session_id", "history"),
        *maybes("run_id"),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("in_head", sa.Boolean(), nullable=False),
        *texts("body"),
        at("created_at"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_blocks_session_id_sessions"),
        sa.PrimaryKeyConstraint("id", name="pk_blocks"),
        sa.UniqueConstraint("history", "position", name="uq_blocks_history_position"),
    )
    op.create_index("ix_blocks_session_id_created_at_id", "blocks", ["session_id", "created_at", "id"])
    op.create_table(
        "keys",
        *texts("id", "org_id", "project_id", "principal_id", "scopes"),
        *maybes("actor_id"),
        *texts("secret_hash"),
        at("created_at"),
        sa.Column("revoked_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name="fk_keys_principal_id_principals"),
        sa.PrimaryKeyConstraint("id", name="pk_keys"),
    )
    op.create_index("ix_keys_project_id_id", "keys", ["project_id", "id"])
    op.create_table(
        "projects",
        *texts("id", "org_id", "name"),
        at("created_at"),
        sa.ForeignKeyConstraint(["org_id"], ["orgs.id"], name="fk_projects_org_id_orgs"),
        sa.PrimaryKeyConstraint("id", name="pk_projects"),
    )
    op.create_table(
        "runs",
        *texts("id", "org_id", "project_id", "principal_id", "session_id"),
        *maybes("parent_run_id"),
        *texts("ancestor_run_ids"),
        sa.Column("stateful", sa.Boolean(), nullable=False),
        *texts("status"),
        *maybes("stop_reason"),
        *texts("model"),
        *maybes("primary_resolved_model", "capability_snapshot_id"),
        *texts("limits", "usage"),
        sa.Column("cost_usd", sa.Double(), nullable=True),
        sa.Column("ttft_ms", sa.Integer(), nullable=True),
        *counts("step_count", "tool_count"),
        sa.Column("first_seq", sa.BigInteger(), server_default="1", nullable=False),
        *counts("last_seq", "inbox_last", "inbox_heard"),
        *maybes("waiting_for"),
        sa.Column("waiting_since", Instant(), nullable=True),
        *counts("waited_ms"),
        *maybes("assessment_outcome"),
        at("created_at"),
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
    op.create_index("ix_runs_project_id_created_at_id", "runs", ["project_id", "created_at", "id"])
    op.create_index("ix_runs_session_id_created_at_id", "runs", ["session_id", "created_at", "id"])
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
        *texts("id", "run_id", "target", "state"),
        sa.Column("generation", sa.Integer(), nullable=True),
        *maybes("place"),
        at("created_at"),
        sa.Column("released_at", Instant(), nullable=True),
        sa.Column("gone_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_boxes_run_id_runs"),
        sa.PrimaryKeyConstraint("id", name="pk_boxes"),
        sa.UniqueConstraint("run_id", "target", "generation", name="uq_boxes_run_id_target_generation"),
    )
    op.create_index("ix_boxes_state", "boxes", ["state"])
    op.create_table(
        "calls",
        *texts("id", "org_id", "project_id", "session_id"),
        *maybes("run_id"),
        sa.Column("step", sa.Integer(), nullable=True),
        *texts("model", "resolved_model", "status"),
        *counts("attempt"),
        *maybes("usage"),
        sa.Column("cost_usd", sa.Double(), nullable=True),
        sa.Column("ttft_ms", sa.Integer(), nullable=True),
        *maybes("stop_reason", "error", "request_digest"),
        at("created_at"),
        sa.Column("completed_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_calls_run_id_runs"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_calls_session_id_sessions"),
        sa.PrimaryKeyConstraint("id", name="pk_calls"),
    )
    op.create_index("ix_calls_run_id_created_at_id", "calls", ["run_id", "created_at", "id"])
    op.create_table(
        "checkpoints",
        *texts("id", "org_id", "project_id", "run_id", "ancestor_run_ids", "session_id", "kind", "status"),
        *maybes("tool", "tool_execution_id", "arguments", "envelope", "envelope_digest"),
        *texts("rendered"),
        *maybes("rule"),
        *texts("requested_by", "required"),
        at("created_at"),
        at("expires_at"),
        sa.Column("resolved_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_checkpoints_run_id_runs"),
        sa.ForeignKeyConstraint(["session_id"], ["sessions.id"], name="fk_checkpoints_session_id_sessions"),
        sa.PrimaryKeyConstraint("id", name="pk_checkpoints"),
    )
    op.create_index(
        "ix_checkpoints_open",
        "checkpoints",
        ["expires_at"],
        unique=False,
        sqlite_where=sa.text("resolved_at IS NULL"),
        postgresql_where=sa.text("resolved_at IS NULL"),
    )
    op.create_index(
        "ix_checkpoints_project_id_status_created_at_id",
        "checkpoints",
        ["project_id", "status", "created_at", "id"],
    )
    op.create_index("ix_checkpoints_run_id_status", "checkpoints", ["run_id", "status"])
    op.create_index(
        "ix_checkpoints_session_id_created_at_id", "checkpoints", ["session_id", "created_at", "id"]
    )
    op.create_table(
        "inbox",
        *texts("run_id"),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        *texts("message"),
        at("at"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_inbox_run_id_runs"),
        sa.PrimaryKeyConstraint("run_id", "position", name="pk_inbox"),
    )
    op.create_table(
        "run_bodies",
        *texts("run_id", "request"),
        *maybes("instructions", "error", "output_text", "output"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_bodies_run_id_runs"),
        sa.PrimaryKeyConstraint("run_id", name="pk_run_bodies"),
    )
    op.create_table(
        "snapshots",
        *texts("id", "org_id", "project_id", "run_id", "digest", "document", "signature", "key_id"),
        at("created_at"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_snapshots_run_id_runs"),
        sa.PrimaryKeyConstraint("id", name="pk_snapshots"),
    )
    op.create_table(
        "steps",
        *texts("run_id"),
        sa.Column("index", sa.Integer(), autoincrement=False, nullable=False),
        *texts("call_id"),
        *counts("tool_count"),
        *texts("status"),
        *maybes("tree_checkpoint"),
        at("started_at"),
        sa.Column("completed_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_steps_run_id_runs"),
        sa.PrimaryKeyConstraint("run_id", "index", name="pk_steps"),
    )
    op.create_table(
        "tool_executions",
        *texts("id", "run_id", "session_id"),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("ordinal", sa.Integer(), nullable=False),
        *texts("tool_call_id", "tool", "source", "effect", "arguments", "arguments_digest", "status"),
        *counts("attempt", "edits", "stdout_bytes", "stderr_bytes"),
        *maybes("outcome"),
        sa.Column("is_error", sa.Boolean(), nullable=True),
        sa.Column("exit_code", sa.Integer(), nullable=True),
        sa.Column("duration_ms", sa.BigInteger(), nullable=True),
        *maybes("result_digest", "preview", "checkpoint_id"),
        *maybes("submitted", "submitted_digest"),
        at("created_at"),
        sa.Column("started_at", Instant(), nullable=True),
        sa.Column("completed_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_tool_executions_run_id_runs"),
        sa.ForeignKeyConstraint(
            ["session_id"], ["sessions.id"], name="fk_tool_executions_session_id_sessions"
        ),
        sa.PrimaryKeyConstraint("id", name="pk_tool_executions"),
    )
    op.create_index(
        "ix_tool_executions_run_id_step_ordinal", "tool_executions", ["run_id", "step", "ordinal"]
    )
    op.create_index(
        "ix_tool_executions_session_id_created_at_id", "tool_executions", ["session_id", "created_at", "id"]
    )
    op.create_table(
        "trees",
        *texts("run_id"),
        sa.Column("step", sa.Integer(), autoincrement=False, nullable=False),
        *texts("commit", "tree"),
        *maybes("bundle_digest"),
        at("created_at"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_trees_run_id_runs"),
        sa.PrimaryKeyConstraint("run_id", "step", name="pk_trees"),
    )
    op.create_table(
        "decisions",
        *texts("checkpoint_id"),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        *texts("decision"),
        sa.ForeignKeyConstraint(
            ["checkpoint_id"], ["checkpoints.id"], name="fk_decisions_checkpoint_id_checkpoints"
        ),
        sa.PrimaryKeyConstraint("checkpoint_id", "ordinal", name="pk_decisions"),
    )
    op.create_table(
        "effects",
        *texts("tool_execution_id", "run_id", "effect", "state"),
        *counts("epoch"),
        *texts("envelope_digest"),
        *maybes("prepared", "result"),
        sa.Column("claimed_at", Instant(), nullable=True),
        sa.Column("settled_at", Instant(), nullable=True),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_effects_run_id_runs"),
        sa.ForeignKeyConstraint(
            ["tool_execution_id"], ["tool_executions.id"], name="fk_effects_tool_execution_id_tool_executions"
        ),
        sa.PrimaryKeyConstraint("tool_execution_id", name="pk_effects"),
    )
    op.create_index("ix_effects_run_id", "effects", ["run_id"])
    op.create_table(
        "evidence",
        *texts("snapshot_id"),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        *texts("kind", "body", "digest"),
        at("at"),
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
