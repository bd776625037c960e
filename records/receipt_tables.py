"""The tables of receipts. What is told here once is never changed: the database itself refuses it.

`receipt_payloads` alone may lose a content: what has to be erased goes, and the chain stays whole without it.
"""

from sqlalchemy import BigInteger, Column, Table, Text, UniqueConstraint

from records.columns import Instant
from records.tables import metadata


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False)


def _key(name: str) -> Column[str]:
    return Column(name, Text, primary_key=True)


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, primary_key=True, autoincrement=False)


receipts = Table(
    "receipts",
    metadata,
    _key("run_id"),
    _number("ordinal"),
    *(_text("kind"), _text("hash"), _text("record")),
    Column("evidence", Text),
    sqlite_with_rowid=False,
)

receipt_payloads = Table(
    "receipt_payloads",
    metadata,
    _key("run_id"),
    _number("ordinal"),
    Column("salt", Text),
    Column("value", Text),
    sqlite_with_rowid=False,
)

unsealed = Table("receipts_unsealed", metadata, _key("run_id"))

run_heads = Table(
    "receipt_run_heads",
    metadata,
    _key("run_id"),
    _number("ordinal"),
    *(_text("statement"), _text("signature")),
    sqlite_with_rowid=False,
)

leaves = Table(
    "receipt_leaves",
    metadata,
    _key("project_id"),
    _number("position"),
    _text("run_id"),
    Column("ordinal", BigInteger, nullable=False),
    _text("hash"),
    UniqueConstraint("run_id", "ordinal"),
    sqlite_with_rowid=False,
)

log_heads = Table(
    "receipt_log_heads",
    metadata,
    _key("project_id"),
    _number("size"),
    *(_text("statement"), _text("signature")),
    sqlite_with_rowid=False,
)

signing_keys = Table(
    "signing_keys",
    metadata,
    _key("key_id"),
    _text("public_key"),
    Column("created_at", Instant, nullable=False),
)
