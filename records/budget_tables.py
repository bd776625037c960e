"""The tables of budgets: the objects, what is counted against them, and what each model call holds."""

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Table, Text

from records.columns import Document, Instant
from records.tables import metadata


def _text(name: str) -> Column[Any]:
    return Column(name, Text, nullable=False)


def _key(name: str) -> Column[Any]:
    return Column(name, Text, primary_key=True)


def _count(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, server_default="0")


budgets = Table(
    "budgets",
    metadata,
    _key("project_id"),
    _key("name"),
    _text("org_id"),
    _text("scope"),
    Column("actor_id", Document(str)),
    _text("period"),
    Column("max_tokens", BigInteger),
    Column("max_cost_usd", Double),
    Column("max_seconds", Double),
    _text("on_exceed"),
    Column("created_at", Instant, nullable=False),
    Column("updated_at", Instant, nullable=False),
)

accounts = Table(
    "budget_accounts",
    metadata,
    _key("id"),
    *(_count("tokens"), _count("nanos"), _count("ms")),
    *(_count("held_tokens"), _count("held_nanos"), _count("held_ms")),
)

reservations = Table(
    "budget_reservations",
    metadata,
    _key("call_id"),
    Column("attempt", BigInteger, primary_key=True, autoincrement=False),
    _key("account_id"),
    _text("run_id"),
    *(_count("tokens"), _count("nanos"), _count("ms")),
    _text("state"),
    Column("created_at", Instant, nullable=False),
    Index(None, "run_id", "state"),
)

raises = Table(
    "budget_raises",
    metadata,
    _key("checkpoint_id"),
    _text("run_id"),
    _text("budget"),
    *(_count("tokens"), _count("nanos"), _count("ms")),
    Index(None, "run_id"),
)
