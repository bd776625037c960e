"""The tables of what is decided, kept and proven: one function a noun."""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

from records.columns import Instant

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def texts(*names: str, nullable: bool = False) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.Text(), nullable=nullable) for name in names]


def upgrade() -> None:
    budgets()
    taints()
    safety_decisions()
    evidence()
    memory()
    skills()
    project_policies()
    standing_grants()
    policy_differences()
    receipts()
    webhooks()
    artifacts()
    subruns()
    trees()
    setups()


def evidence() -> None:
    """Rows become a chain, and each effect names the row that was in force."""
    for name in ("snapshot_digest", "previous"):
        op.add_column("evidence", sa.Column(name, sa.Text(), nullable=False, server_default=""))
    op.add_column("effects", sa.Column("evidence_digest", sa.Text(), nullable=True))


def memory() -> None:
    """A row for each version under a key, and the words of the newest ones."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    op.create_table(
        "memories",
        sa.Column("number", sa.Integer() if sqlite else sa.BigInteger(), autoincrement=True, nullable=False),
        *texts("org_id", "project_id", "scope", "owner", "key"),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("current", sa.Boolean(), nullable=False),
        *texts("text", nullable=True),
        sa.Column("words", sa.Text() if sqlite else TSVECTOR(), nullable=True),
        *texts("labels", "provenance"),
        *texts("effect_key", nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("expires_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("number", name="pk_memories"),
        sa.UniqueConstraint(
            *("project_id", "scope", "owner", "key", "version"),
            name="uq_memories_project_id_scope_owner_key_version",
        ),
        sa.UniqueConstraint("project_id", "effect_key", name="uq_memories_project_id_effect_key"),
    )
    op.create_index(
        "ix_memories_current",
        "memories",
        ["project_id", "scope", "owner", "created_at"],
        sqlite_where=sa.text("current"),
        postgresql_where=sa.text("current"),
    )
    op.create_index("ix_memories_words", "memories", ["words"], postgresql_using="gin")
    if sqlite:
        op.execute("CREATE VIRTUAL TABLE memory_words USING fts5(words, tokenize = 'unicode61')")


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


def safety_decisions() -> None:
    """What safety rules found."""
    op.create_table(
        "safety_decisions",
        *texts("run_id", "stage", "subject", "rule", "profile", "disposition", "reasons", "text_digest"),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "stage", "subject", "rule", name="pk_safety_decisions"),
    )


def taints() -> None:
    """The labels that a history has taken on."""
    op.create_table(
        "taints",
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("history", "label")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("run_id", "tool_execution_id")),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("history", "label", name="pk_taints"),
    )


def budgets() -> None:
    """Budgets, what is counted against them, what model calls hold, and what people granted beyond."""

    def text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
        return sa.Column(name, sa.Text(), nullable=nullable)

    def counts(*names: str) -> list[sa.Column[Any]]:
        return [sa.Column(name, sa.BigInteger(), server_default="0", nullable=False) for name in names]

    op.create_table(
        "budgets",
        *map(text, ("project_id", "name", "org_id", "scope")),
        text("actor_id", nullable=True),
        text("period"),
        sa.Column("max_tokens", sa.BigInteger(), nullable=True),
        sa.Column("max_cost_usd", sa.Double(), nullable=True),
        text("on_exceed"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "name", name="pk_budgets"),
    )
    op.create_table(
        "budget_accounts",
        text("id"),
        *counts("tokens", "nanos", "held_tokens", "held_nanos"),
        sa.PrimaryKeyConstraint("id", name="pk_budget_accounts"),
    )
    op.create_table(
        "budget_reservations",
        text("call_id"),
        sa.Column("attempt", sa.BigInteger(), autoincrement=False, nullable=False),
        *map(text, ("account_id", "run_id")),
        *counts("tokens", "nanos"),
        text("state"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("call_id", "attempt", "account_id", name="pk_budget_reservations"),
    )
    op.create_index("ix_budget_reservations_run_id_state", "budget_reservations", ["run_id", "state"])
    op.create_table(
        "budget_raises",
        *map(text, ("checkpoint_id", "run_id", "budget")),
        *counts("tokens", "nanos"),
        sa.PrimaryKeyConstraint("checkpoint_id", name="pk_budget_raises"),
    )
    op.create_index("ix_budget_raises_run_id", "budget_raises", ["run_id"])


def project_policies() -> None:
    """A row for each version of a project's policy."""
    op.create_table(
        "project_policies",
        *texts("org_id", "project_id", "name"),
        sa.Column("version", sa.BigInteger(), autoincrement=False, nullable=False),
        *texts("digest", "text", "put_by"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "name", "version", name="pk_project_policies"),
    )
    columns = ["project_id", "created_at", "name", "version"]
    op.create_index("ix_project_policies_project_id_created_at_name_version", "project_policies", columns)


def standing_grants() -> None:
    """What may be done without being asked."""
    op.create_table(
        "standing_grants",
        *texts("id", "org_id", "project_id"),
        *texts("principal_id", nullable=True),
        *texts("tool", "argv", "words", "made_by"),
        sa.Column("created_at", Instant(), nullable=False),
        *(sa.Column(name, Instant(), nullable=True) for name in ("expires_at", "revoked_at")),
        sa.PrimaryKeyConstraint("id", name="pk_standing_grants"),
    )
    columns = ["project_id", "created_at", "id"]
    op.create_index("ix_standing_grants_project_id_created_at_id", "standing_grants", columns)


def policy_differences() -> None:
    """What a candidate policy would have said otherwise."""
    key = ("run_id", "execution", "tool", "candidate")
    op.create_table(
        "policy_differences",
        *texts(*key, "org_id", "project_id", "answer", "rule", "would_answer", "would_rule"),
        sa.Column("at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint(*key, name="pk_policy_differences"),
    )
    op.create_index("ix_policy_differences_at", "policy_differences", ["at"])


def receipts() -> None:
    """Chains, payloads, heads, and what makes the database refuse to change them."""
    for name, key, more, maybe in (
        ("receipts", ("run_id", "ordinal"), ("kind", "hash", "record"), ("evidence",)),
        ("receipt_payloads", ("run_id", "ordinal"), (), ("salt", "value")),
        ("receipt_run_heads", ("run_id", "ordinal"), ("statement", "signature"), ()),
        ("receipt_log_heads", ("project_id", "size"), ("statement", "signature"), ()),
    ):
        op.create_table(
            name,
            *texts(key[0]),
            sa.Column(key[1], sa.BigInteger(), autoincrement=False, nullable=False),
            *texts(*more),
            *texts(*maybe, nullable=True),
            sa.PrimaryKeyConstraint(*key, name=f"pk_{name}"),
            sqlite_with_rowid=False,
        )
    op.create_table(
        "receipt_leaves",
        *texts("project_id"),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        *texts("run_id"),
        sa.Column("ordinal", sa.BigInteger(), nullable=False),
        *texts("hash"),
        sa.PrimaryKeyConstraint("project_id", "position", name="pk_receipt_leaves"),
        sa.UniqueConstraint("run_id", "ordinal", name="uq_receipt_leaves_run_id_ordinal"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "receipts_unsealed", *texts("run_id"), sa.PrimaryKeyConstraint("run_id", name="pk_receipts_unsealed")
    )
    op.create_table(
        "signing_keys",
        *texts("key_id", "public_key"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("key_id", name="pk_signing_keys"),
    )
    _never_changed()


def _never_changed() -> None:
    """Payloads alone may be erased: the content goes, the row stays."""
    if op.get_bind().dialect.name != "sqlite":
        op.execute(
            "CREATE FUNCTION rhone_refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION '% is never changed', TG_TABLE_NAME; END $$"
        )
    for table in (
        *("receipts", "snapshots", "evidence", "policies", "safety_decisions"),
        *("receipt_run_heads", "receipt_leaves", "receipt_log_heads", "signing_keys"),
    ):
        _refuse(table, "update")
        _refuse(table, "delete")
    same = "NEW.run_id = OLD.run_id AND NEW.ordinal = OLD.ordinal"
    _refuse("receipt_payloads", "update", f" WHEN (NOT (NEW.salt IS NULL AND NEW.value IS NULL AND {same}))")
    _refuse("receipt_payloads", "delete")


def _refuse(table: str, verb: str, when: str = "") -> None:
    trigger = f"CREATE TRIGGER {table}_no_{verb} BEFORE {verb} ON {table} FOR EACH"
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"{trigger} ROW{when} BEGIN SELECT RAISE(ABORT, '{table} is never changed'); END")
        return
    op.execute(f"{trigger} ROW{when} EXECUTE FUNCTION rhone_refuse()")
    if verb == "delete":
        trigger = f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}"
        op.execute(f"{trigger} FOR EACH STATEMENT EXECUTE FUNCTION rhone_refuse()")


def webhooks() -> None:
    """The hooks, and the outbox of what each is to be told."""
    op.create_table(
        "webhooks",
        *texts("project_id", "name", "url", "events"),
        sa.Column("declared", sa.Boolean(), nullable=False),
        *texts("secret", "secret_ref", nullable=True),
        sa.Column("created_at", Instant(), nullable=False),
        sa.Column("updated_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "name", name="pk_webhooks"),
    )
    op.create_table(
        "webhook_deliveries",
        *texts("id", "project_id", "webhook", "type", "run_id"),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        *texts("state"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        *(sa.Column(name, Instant(), nullable=True) for name in ("next_attempt_at", "last_attempt_at")),
        sa.Column("last_status", sa.Integer(), nullable=True),
        *texts("last_error", nullable=True),
        sa.Column("delivered_at", Instant(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_webhook_deliveries"),
    )
    columns = ["project_id", "webhook", "created_at", "id"]
    op.create_index("ix_webhook_deliveries_project_id_webhook_created_at_id", "webhook_deliveries", columns)
    op.create_index(
        "ix_webhook_deliveries_due",
        "webhook_deliveries",
        ["next_attempt_at"],
        sqlite_where=sa.text("state = 'pending'"),
        postgresql_where=sa.text("state = 'pending'"),
    )


def artifacts() -> None:
    """Files that runs kept."""
    op.create_table(
        "artifacts",
        *texts("id", "run_id", "session_id", "tool_execution_id", "name", "path", "media_type"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        *texts("digest"),
        sa.Column("created_at", Instant(), nullable=False),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_artifacts_run_id_runs"),
        sa.ForeignKeyConstraint(
            ["tool_execution_id"],
            ["tool_executions.id"],
            name="fk_artifacts_tool_execution_id_tool_executions",
        ),
        sa.PrimaryKeyConstraint("id", name="pk_artifacts"),
        sa.UniqueConstraint("tool_execution_id", name="uq_artifacts_tool_execution_id"),
    )
    op.create_index("ix_artifacts_run_id_id", "artifacts", ["run_id", "id"])


def subruns() -> None:
    """A run's children are found from it."""
    rows = sa.text("parent_run_id IS NOT NULL")
    columns = ["parent_run_id"]
    op.create_index("ix_runs_parent_run_id", "runs", columns, sqlite_where=rows, postgresql_where=rows)


def trees() -> None:
    """Those that need no earlier one."""
    op.add_column("trees", sa.Column("whole", sa.Boolean(), nullable=False, server_default=sa.false()))


def setups() -> None:
    """What set-ups of workspaces made."""
    op.create_table(
        "setups",
        *texts("org_id", "project_id", "key", "run_id", "digest"),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("created_at", Instant(), nullable=False),
        sa.PrimaryKeyConstraint("project_id", "key", name="pk_setups"),
    )
