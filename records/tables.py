"""The tables. What changes with every commit (`runs`) stands apart from what is long (`run_bodies`).

- A run's events, inbox, steps and the like reach their tenant through the run; what the outside asks for by
  its own id carries `org_id` and `project_id` itself.
- What goes through `records.bodies` is JSON text, or `@sha256:...` where that lies in the blob store.
- The event log has no foreign key: it is written under the run's row lock, and never before the run.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from protocol.checkpoint import Decision, Required
from protocol.errors import ErrorBody
from protocol.inbox import Message
from protocol.noun import JSON, JSONObject
from protocol.run import Limits
from protocol.session import SessionDefaults
from protocol.target import BoxPlace
from protocol.usage import Usage
from records.columns import Document, Instant

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Names = Document(tuple[str, ...])


def _id(name: str = "id") -> Column[Any]:
    return Column(name, Text, primary_key=True)


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False)


def _texts(*names: str) -> list[Column[Any]]:
    return [_text(name) for name in names]


def _counts(*names: str) -> list[Column[Any]]:
    return [Column(name, BigInteger, nullable=False, server_default="0") for name in names]


def _at(name: str = "created_at") -> Column[Any]:
    return Column(name, Instant, nullable=False)


def _of(name: str, column: str) -> Column[Any]:
    return Column(name, Text, ForeignKey(column), nullable=False)


def _tenant() -> tuple[Column[Any], Column[Any]]:
    return _text("org_id"), _text("project_id")


def _index_where(name: str, *columns: str, where: str) -> Index:
    """An index over some of the rows; `uq_` in its name makes it a rule."""
    unique, rows = name.startswith("uq_"), text(where)
    return Index(name, *columns, unique=unique, sqlite_where=rows, postgresql_where=rows)


# who

orgs = Table("orgs", metadata, _id(), _text("name"), _at())

projects = Table("projects", metadata, _id(), _of("org_id", "orgs.id"), _text("name"), _at())

principals = Table(
    "principals",
    metadata,
    _id(),
    *_tenant(),
    Column("name", Document(str), nullable=False),
    _text("kind"),
    Column("roles", Names, nullable=False),
    _at(),
    Index(None, "project_id", "id"),
)

keys = Table(
    "keys",
    metadata,
    _id(),
    *_tenant(),
    _of("principal_id", "principals.id"),
    Column("scopes", Names, nullable=False),
    Column("actor_id", Document(str)),
    _text("secret_hash"),
    _at(),
    Column("revoked_at", Instant),
    Index(None, "project_id", "id"),
)

idempotency = Table(
    "idempotency",
    metadata,
    _id("scope"),
    *_texts("payload_digest", "state"),
    Column("resource_id", Text),
    Column("status", Integer),
    _at("leased_until"),
    _at("expires_at"),
    Index(None, "expires_at"),
)

# what was said

sessions = Table(
    "sessions",
    metadata,
    _id(),
    *_tenant(),
    Column("external_session_id", Text),
    Column("actor_id", Document(str)),
    Column("instructions", Document(str)),
    Column("defaults", Document(SessionDefaults), nullable=False),
    Column("phase", Document(str)),
    _text("status"),
    Column("metadata", Document(dict[str, str]), nullable=False),
    _at(),
    _at("updated_at"),
    UniqueConstraint("project_id", "external_session_id"),
    Index(None, "project_id", "created_at", "id"),
)

blocks = Table(
    "blocks",
    metadata,
    _id(),
    _of("session_id", "sessions.id"),
    _text("history"),
    Column("run_id", Text),
    Column("position", BigInteger),
    Column("in_head", Boolean, nullable=False),
    _text("body"),
    _at(),
    UniqueConstraint("history", "position"),
    Index(None, "session_id", "created_at", "id"),
)

# runs

runs = Table(
    "runs",
    metadata,
    _id(),
    *_tenant(),
    _text("principal_id"),
    _of("session_id", "sessions.id"),
    Column("parent_run_id", Text),
    Column("ancestor_run_ids", Names, nullable=False),
    Column("stateful", Boolean, nullable=False),
    _text("status"),
    Column("stop_reason", Text),
    _text("model"),
    Column("primary_resolved_model", Text),
    Column("capability_snapshot_id", Text),
    Column("limits", Document(Limits), nullable=False),
    Column("usage", Document(Usage), nullable=False),
    Column("cost_usd", Double),
    Column("ttft_ms", Integer),
    *_counts("step_count"),
    *_counts("tool_count"),
    Column("first_seq", BigInteger, nullable=False, server_default="1"),
    *_counts("last_seq"),
    *_counts("inbox_last"),
    *_counts("inbox_heard"),
    Column("waiting_for", Names),
    Column("waiting_since", Instant),
    *_counts("waited_ms"),
    Column("assessment_outcome", Text),
    _at(),
    Column("started_at", Instant),
    Column("completed_at", Instant),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "session_id", "created_at", "id"),
    _index_where("uq_runs_one_open_per_session", "session_id", where="stateful AND completed_at IS NULL"),
    _index_where("ix_runs_open", "created_at", where="completed_at IS NULL"),
    _index_where("ix_runs_parent_run_id", "parent_run_id", where="parent_run_id IS NOT NULL"),
    postgresql_with={"fillfactor": 70},
)

run_bodies = Table(
    "run_bodies",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    _text("request"),
    Column("instructions", Document(str)),
    Column("error", Document(ErrorBody)),
    Column("output_text", Document(str)),
    Column("output", Document(JSONObject)),
)

events = Table(
    "events",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    _text("type"),
    Column("key", Text),
    _text("data"),
    _index_where("uq_events_run_id_key", "run_id", "key", where="key IS NOT NULL"),
    sqlite_with_rowid=False,
)

inbox = Table(
    "inbox",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("position", BigInteger, primary_key=True, autoincrement=False),
    Column("message", Document(Message), nullable=False),
    _at("at"),
)

steps = Table(
    "steps",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("index", Integer, primary_key=True, autoincrement=False),
    _text("call_id"),
    *_counts("tool_count"),
    _text("status"),
    Column("tree_checkpoint", Text),
    _at("started_at"),
    Column("completed_at", Instant),
)

calls = Table(
    "calls",
    metadata,
    _id(),
    *_tenant(),
    _of("session_id", "sessions.id"),
    Column("run_id", Text, ForeignKey("runs.id")),
    Column("step", Integer),
    *_texts("model", "resolved_model", "status"),
    *_counts("attempt"),
    Column("usage", Document(Usage)),
    Column("cost_usd", Double),
    Column("ttft_ms", Integer),
    Column("stop_reason", Text),
    Column("error", Document(ErrorBody)),
    Column("request_digest", Text),
    _at(),
    Column("completed_at", Instant),
    Index(None, "run_id", "created_at", "id"),
)

tool_executions = Table(
    "tool_executions",
    metadata,
    _id(),
    _of("run_id", "runs.id"),
    _of("session_id", "sessions.id"),
    Column("step", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    *_texts("tool_call_id", "tool", "source", "effect", "arguments", "arguments_digest", "status"),
    *_counts("attempt", "edits", "stdout_bytes", "stderr_bytes"),
    Column("outcome", Text),
    Column("is_error", Boolean),
    Column("exit_code", Integer),
    Column("duration_ms", BigInteger),
    Column("result_digest", Text),
    Column("preview", Document(str)),
    Column("checkpoint_id", Text),
    Column("submitted", Text),
    Column("submitted_digest", Text),
    _at(),
    Column("started_at", Instant),
    Column("completed_at", Instant),
    Index(None, "run_id", "step", "ordinal"),
    Index(None, "session_id", "created_at", "id"),
)

effects = Table(
    "effects",
    metadata,
    Column("tool_execution_id", Text, ForeignKey("tool_executions.id"), primary_key=True),
    _of("run_id", "runs.id"),
    *_texts("effect", "state"),
    *_counts("epoch"),
    _text("envelope_digest"),
    Column("evidence_digest", Text),
    Column("prepared", Text),
    Column("result", Document(JSONObject)),
    Column("claimed_at", Instant),
    Column("settled_at", Instant),
    Index(None, "run_id"),
)

# what waits for somebody

checkpoints = Table(
    "checkpoints",
    metadata,
    _id(),
    *_tenant(),
    _of("run_id", "runs.id"),
    Column("ancestor_run_ids", Names, nullable=False),
    _of("session_id", "sessions.id"),
    *_texts("kind", "status"),
    Column("tool", Text),
    Column("tool_execution_id", Text),
    Column("arguments", Text),
    Column("envelope", Text),
    Column("envelope_digest", Text),
    _text("rendered"),
    Column("rule", Document(str)),
    Column("requested_by", Document(str), nullable=False),
    Column("required", Document(Required), nullable=False),
    _at(),
    _at("expires_at"),
    Column("resolved_at", Instant),
    Index(None, "run_id", "status"),
    Index(None, "project_id", "status", "created_at", "id"),
    _index_where("ix_checkpoints_open", "expires_at", where="resolved_at IS NULL"),
    Index(None, "session_id", "created_at", "id"),
)

decisions = Table(
    "decisions",
    metadata,
    Column("checkpoint_id", Text, ForeignKey("checkpoints.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("decision", Document(Decision), nullable=False),
)

# what a run was given

snapshots = Table(
    "snapshots",
    metadata,
    _id(),
    *_tenant(),
    _of("run_id", "runs.id"),
    *_texts("digest", "document", "signature", "key_id"),
    _at(),
)

evidence = Table(
    "evidence",
    metadata,
    Column("snapshot_id", Text, ForeignKey("snapshots.id"), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    _text("kind"),
    Column("body", Document(dict[str, JSON]), nullable=False),
    *_texts("snapshot_digest", "previous", "digest"),
    _at("at"),
)

policies = Table("policies", metadata, _id("digest"), Column("text", Document(str), nullable=False), _at())

# where it works

boxes = Table(
    "boxes",
    metadata,
    _id(),
    _of("run_id", "runs.id"),
    *_texts("target", "state"),
    Column("generation", Integer),
    Column("place", Document(BoxPlace)),
    _at(),
    Column("released_at", Instant),
    Column("gone_at", Instant),
    UniqueConstraint("run_id", "target", "generation"),
    Index(None, "state"),
)

trees = Table(
    "trees",
    metadata,
    Column("run_id", Text, ForeignKey("runs.id"), primary_key=True),
    Column("step", Integer, primary_key=True, autoincrement=False),
    *_texts("commit", "tree"),
    Column("bundle_digest", Text),
    Column("whole", Boolean, nullable=False),
    _at(),
)
