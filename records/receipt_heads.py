"""The signed ends of chains and the log over them, the keys that signed, and the parts of one receipt."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.sql.dml import Update

from protocol.digest import canonical
from protocol.ids import ProjectId, RunId
from protocol.noun import JSON
from protocol.receipt import LogHead, RunHead
from records.chains import Chains
from records.conflicts import insert_unless_there
from records.receipt_tables import (
    leaves,
    log_heads,
    receipt_payloads,
    receipts,
    run_heads,
    signing_keys,
    unsealed,
)
from records.tables import projects, runs
from records.tx import Tx


class Signed(NamedTuple):
    """A statement as it was signed: its canonical text, and the signature over that."""

    statement: str
    signature: str

    def shown(self) -> dict[str, JSON]:
        return {"statement": orjson.loads(self.statement), "signature": self.signature}


class Leaf(NamedTuple):
    run_id: str
    ordinal: int
    hash: str


def to_sign(connection: Connection, most: int) -> list[tuple[RunId, ProjectId]]:
    """Runs whose chain has an end that nobody has signed."""
    query = select(unsealed.c.run_id, runs.c.project_id).join(runs, runs.c.id == unsealed.c.run_id)
    rows = connection.execute(query.order_by(unsealed.c.run_id).limit(most))
    return [(row.run_id, row.project_id) for row in rows]


def chain_end(tx: Tx, run_id: RunId) -> tuple[int, str]:
    """Under the run's lock: its last record's number and hash."""
    end = Chains(tx.connection).end(run_id)
    return end.ordinal, end.hash


def keep_run_head(tx: Tx, head: RunHead, signature: str) -> None:
    row = {"run_id": head.run_id, "ordinal": head.ordinal}
    said = {"statement": canonical(head).decode(), "signature": signature}
    insert_unless_there(tx.connection, run_heads, row | said)
    tx.connection.execute(unsealed.delete().where(unsealed.c.run_id == head.run_id))
    tx.hint(("sealed", head.run_id), head.ordinal)


def lock_log(tx: Tx, project_id: ProjectId) -> int:
    """How many leaves the project's log has; nobody else adds one before this transaction is over."""
    tx.connection.execute(select(projects.c.id).where(projects.c.id == project_id).with_for_update())
    query = select(func.max(leaves.c.position)).where(leaves.c.project_id == project_id)
    last = tx.connection.execute(query).scalar()
    return 0 if last is None else last + 1


def grow(tx: Tx, project_id: ProjectId, added: Sequence[Leaf], size: int) -> list[Leaf]:
    """Under the log's lock: its leaves behind the first `size`, with the new ones at their end."""
    there = log(tx.connection, project_id, size)
    query = select(leaves.c.run_id, leaves.c.ordinal).where(
        leaves.c.run_id.in_([one.run_id for one in added])
    )
    known = {tuple(row) for row in tx.connection.execute(query)}
    new = [leaf for leaf in added if (leaf.run_id, leaf.ordinal) not in known]
    rows = [
        {"project_id": project_id, "position": position, **leaf._asdict()}
        for position, leaf in enumerate(new, size + len(there))
    ]
    if rows:
        tx.connection.execute(insert(leaves), rows)
    return [*there, *new]


def keep_log_head(tx: Tx, head: LogHead, signature: str) -> None:
    said = {"statement": canonical(head).decode(), "signature": signature}
    row = {"project_id": head.project_id, "size": head.size}
    insert_unless_there(tx.connection, log_heads, row | said)


def keep_key(tx: Tx, key_id: str, public_key: str) -> None:
    row = {"key_id": key_id, "public_key": public_key, "created_at": tx.now}
    insert_unless_there(tx.connection, signing_keys, row)


def keys(connection: Connection) -> dict[str, str]:
    query = select(signing_keys.c.key_id, signing_keys.c.public_key)
    return {row.key_id: row.public_key for row in connection.execute(query)}


def log(connection: Connection, project_id: ProjectId, size: int = 0) -> list[Leaf]:
    """The leaves behind the first `size`."""
    columns = (leaves.c.run_id, leaves.c.ordinal, leaves.c.hash)
    query = select(*columns).where(leaves.c.project_id == project_id, leaves.c.position >= size)
    return [Leaf(*row) for row in connection.execute(query.order_by(leaves.c.position))]


def log_head(connection: Connection, project_id: ProjectId, size: int | None = None) -> Signed | None:
    """The newest signed head of a project's log, or that of a size."""
    query = select(log_heads.c.statement, log_heads.c.signature).where(log_heads.c.project_id == project_id)
    if size is not None:
        query = query.where(log_heads.c.size == size)
    row = connection.execute(query.order_by(log_heads.c.size.desc()).limit(1)).first()
    return Signed(*row) if row else None


def log_head_list(connection: Connection, project_id: ProjectId, before: int, most: int) -> list[Signed]:
    """Newest first, those of a smaller size than `before`."""
    query = select(log_heads.c.statement, log_heads.c.signature).where(
        log_heads.c.project_id == project_id, log_heads.c.size < before
    )
    return [Signed(*row) for row in connection.execute(query.order_by(log_heads.c.size.desc()).limit(most))]


def run_head(connection: Connection, run_id: RunId) -> Signed | None:
    """The newest signed end of a run's chain."""
    query = select(run_heads.c.statement, run_heads.c.signature).where(run_heads.c.run_id == run_id)
    row = connection.execute(query.order_by(run_heads.c.ordinal.desc()).limit(1)).first()
    return Signed(*row) if row else None


def records(connection: Connection, run_id: RunId) -> list[dict[str, Any]]:
    query = select(receipts.c.record).where(receipts.c.run_id == run_id).order_by(receipts.c.ordinal)
    return [orjson.loads(text) for text in connection.execute(query).scalars()]


def payloads(connection: Connection, run_id: RunId) -> dict[str, JSON]:
    """By the number of their record; null where one has been erased."""
    rows = connection.execute(select(receipt_payloads).where(receipt_payloads.c.run_id == run_id))
    return {
        str(row.ordinal): None if row.value is None else {"salt": row.salt, "value": orjson.loads(row.value)}
        for row in rows
    }


def erase(tx: Tx, run_id: RunId, ordinal: int) -> bool:
    """The content and its salt are gone; false where there is none."""
    return tx.connection.execute(_erasing(run_id, ordinal)).rowcount == 1


def _erasing(run_id: RunId, ordinal: int) -> Update:
    of = (receipt_payloads.c.run_id == run_id, receipt_payloads.c.ordinal == ordinal)
    return update(receipt_payloads).where(*of).values(salt=None, value=None)


def unsigned(connection: Connection) -> int:
    """How many chains wait to be signed."""
    return connection.execute(select(func.count()).select_from(unsealed)).scalar_one()
