"""Checkpoints: opened, decided, expired, cancelled, spent. Its row is its truth; nothing is decided twice.

Every change is a compare-and-set under the run's lock, by the database's clock, and tells the run's inbox in
the same transaction; what nobody wins changes nothing.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import Connection, Select, bindparam, insert, select, update

from protocol import event
from protocol.checkpoint import Checkpoint, CheckpointKind, CheckpointStatus, Decision, Envelope, Required
from protocol.ids import CheckpointId, RunId, SessionId, ToolExecutionId
from protocol.inbox import CheckpointResolved
from protocol.noun import JSONObject, Noun, rfc3339
from protocol.principal import Tenant
from records import bodies, inbox, receipts
from records.columns import AnyRow
from records.conflicts import insert_unless_there
from records.database import now
from records.paging import Page, PageRequest, page_of
from records.tables import checkpoints, decisions
from records.tree import tree
from records.tx import Tx

c = checkpoints.c

# Built once: building a statement costs ten times its execution.
_ALL = select(*(checkpoints.c[name] for name in Checkpoint.model_fields if name != "decisions"))
_ONE = _ALL.where(c.id == bindparam("of"))
_ONE_OF_TENANT = _ONE.where(c.org_id == bindparam("org"), c.project_id == bindparam("project"))
_MADE = (
    select(decisions)
    .where(decisions.c.checkpoint_id.in_(bindparam("ids", expanding=True)))
    .order_by(decisions.c.checkpoint_id, decisions.c.ordinal)
)
_OPEN_AMONG = (
    select(c.id)
    .where(c.id.in_(bindparam("ids", expanding=True)), c.status == "open")
    .order_by(c.created_at, c.id)
)
_MOVE = update(checkpoints).where(c.id == bindparam("of"), c.status == bindparam("before"))
_DECISION = insert(decisions)


class NewCheckpoint(Noun):
    """`expires_in_ms` counts from the database's clock."""

    id: CheckpointId
    tenant: Tenant
    run_id: RunId
    ancestor_run_ids: tuple[RunId, ...] = ()
    session_id: SessionId
    kind: CheckpointKind
    tool: str | None = None
    tool_execution_id: ToolExecutionId | None = None
    arguments: JSONObject | None = None
    envelope: Envelope | None = None
    envelope_digest: str | None = None
    rendered: str
    rule: str | None = None
    requested_by: str
    required: Required = Required()
    expires_in_ms: int


def open_checkpoint(tx: Tx, new: NewCheckpoint) -> Checkpoint | None:
    """The checkpoint, as a former try made it if there was one; None where the run has ended."""
    if tx.ended(new.run_id):
        return None
    expires_at = tx.now + timedelta(milliseconds=new.expires_in_ms)
    plain = {"tenant", "arguments", "envelope", "rendered", "expires_in_ms"}
    row = new.model_dump(exclude=plain | {"required"}) | new.tenant.model_dump()
    row |= {
        "arguments": _stow(tx, new.arguments),
        "envelope": _stow(tx, new.envelope.model_dump(mode="json") if new.envelope else None),
        "rendered": _stow(tx, new.rendered),
        "required": new.required,
        "status": "open",
        "created_at": tx.now,
        "expires_at": expires_at,
    }
    if insert_unless_there(tx.connection, checkpoints, row):
        opened = event.CheckpointOpened(
            checkpoint_id=new.id,
            kind=new.kind,
            envelope_digest=new.envelope_digest,
            expires_at=rfc3339(expires_at),
        )
        tx.append(new.run_id, opened, key=f"checkpoint:{new.id}:opened")
        receipts.opened(tx, new.run_id, new.model_dump(mode="json"), expires_at)
    return load(tx.connection, new.id)


def move(
    tx: Tx, checkpoint: Checkpoint, before: CheckpointStatus, after: CheckpointStatus, **values: Any
) -> bool:
    """The compare-and-set under every change of status."""
    if after != before and before == "open":
        values["resolved_at"] = tx.now
    moved = values | {"of": checkpoint.id, "before": before, "status": after}
    if tx.connection.execute(_MOVE, moved).rowcount == 0:
        return False
    receipts.moved(tx, checkpoint, after)
    return True


def tell(tx: Tx, checkpoint: Checkpoint) -> None:
    """The run hears that the checkpoint is resolved, or has another deadline."""
    inbox.say(tx, checkpoint.run_id, CheckpointResolved(checkpoint_id=checkpoint.id))


def add_decision(tx: Tx, checkpoint: Checkpoint, decision: Decision) -> None:
    ordinal = len(checkpoint.decisions) + 1
    row = {"checkpoint_id": checkpoint.id, "ordinal": ordinal, "decision": decision}
    tx.connection.execute(_DECISION, row)
    receipts.decided(tx, checkpoint, decision)


def expire(tx: Tx, checkpoint_id: CheckpointId) -> bool:
    """True where the deadline is what resolved it, now; false where it is not due or not open."""
    checkpoint = load(tx.connection, checkpoint_id)
    if checkpoint is None or checkpoint.expires_at > tx.now or not move(tx, checkpoint, "open", "expired"):
        return False
    body = event.CheckpointExpired(checkpoint_id=checkpoint.id, kind=checkpoint.kind)
    tx.append(checkpoint.run_id, body, key=f"checkpoint:{checkpoint.id}:resolved")
    tell(tx, checkpoint)
    return True


def cancel_open(tx: Tx, run_id: RunId) -> list[CheckpointId]:
    """An interrupt or an end: nobody needs to answer any more, and unspent approvals are taken back."""
    over: list[CheckpointId] = []
    for checkpoint in _load_all(tx.connection, _ALL.where(c.run_id == run_id, c.status == "open")):
        if move(tx, checkpoint, "open", "cancelled"):
            body = event.CheckpointCancelled(checkpoint_id=checkpoint.id, kind=checkpoint.kind)
            tx.append(run_id, body, key=f"checkpoint:{checkpoint.id}:resolved")
            over.append(checkpoint.id)
    for checkpoint in _load_all(tx.connection, _ALL.where(c.run_id == run_id, c.status == "approved")):
        if revoke(tx, checkpoint):
            over.append(checkpoint.id)
    return over


def revoke(tx: Tx, checkpoint: Checkpoint) -> bool:
    """Take an approval back; false where it is spent already."""
    if not move(tx, checkpoint, "approved", "revoked"):
        return False
    body = event.CheckpointRevoked(checkpoint_id=checkpoint.id, kind=checkpoint.kind)
    tx.append(checkpoint.run_id, body, key=f"checkpoint:{checkpoint.id}:revoked")
    return True


def redeem(
    tx: Tx, checkpoint_id: CheckpointId, execution: ToolExecutionId, envelope_digest: str, *, again: bool
) -> str | None:
    """Spend an approval on exactly the act that it names; None where it is spent, else why not.

    `again` is a later claim of the same act: it stands on what the first claim has spent.
    """
    checkpoint = load(tx.connection, checkpoint_id)
    if checkpoint is None or checkpoint.tool_execution_id != execution:
        return "there is no such approval"
    if checkpoint.edited is not None:
        return "the approval came with other arguments"
    if checkpoint.envelope_digest != envelope_digest:
        return "the approval is for another act"
    if again and checkpoint.status == "redeemed":
        return None
    if not move(tx, checkpoint, "approved", "redeemed"):
        return f"the approval is {checkpoint.status}"
    body = event.CheckpointRedeemed(
        checkpoint_id=checkpoint.id, kind=checkpoint.kind, envelope_digest=envelope_digest
    )
    tx.append(checkpoint.run_id, body, key=f"checkpoint:{checkpoint.id}:redeemed")
    return None


# reading


def get(connection: Connection, tenant: Tenant, checkpoint_id: CheckpointId) -> Checkpoint | None:
    asked = {"of": checkpoint_id, "org": tenant.org_id, "project": tenant.project_id}
    return next(iter(_load_all(connection, _ONE_OF_TENANT, asked)), None)


def load(connection: Connection, checkpoint_id: CheckpointId) -> Checkpoint | None:
    return next(iter(_load_all(connection, _ONE, {"of": checkpoint_id})), None)


def list_checkpoints(
    connection: Connection,
    tenant: Tenant,
    page: PageRequest,
    *,
    status: CheckpointStatus | None = None,
    kind: CheckpointKind | None = None,
    run_id: RunId | None = None,
) -> Page[Checkpoint]:
    """Those of a run stand with those of its subruns."""
    query = _ALL.where(c.org_id == tenant.org_id, c.project_id == tenant.project_id)
    for column, value in ((c.status, status), (c.kind, kind)):
        if value is not None:
            query = query.where(column == value)
    if run_id is not None:
        query = query.where(c.run_id.in_(tree(run_id)))
    rows, cursor = page_of(connection, query, (c.created_at, c.id), page)
    return Page(_checkpoints(connection, rows), cursor)


def by_ids(connection: Connection, ids: Collection[CheckpointId]) -> list[Checkpoint]:
    return _load_all(connection, _ALL.where(c.id.in_(ids)))


def due(connection: Connection) -> list[Checkpoint]:
    """Open ones whose deadline has passed: the run's own timer may have been lost, or set too late."""
    return _load_all(connection, _ALL.where(c.resolved_at.is_(None), c.expires_at <= now(connection)))


def open_among(connection: Connection, ids: Collection[CheckpointId]) -> tuple[CheckpointId, ...]:
    """Those that still wait for somebody, oldest first."""
    return tuple(connection.execute(_OPEN_AMONG, {"ids": list(ids)}).scalars())


def of_run(connection: Connection, run_id: RunId) -> list[Checkpoint]:
    return _load_all(connection, _ALL.where(c.run_id == run_id).order_by(c.created_at, c.id))


def _load_all(
    connection: Connection, query: Select[Any], asked: dict[str, Any] | None = None
) -> list[Checkpoint]:
    return _checkpoints(connection, list(connection.execute(query, asked)))


def _checkpoints(connection: Connection, rows: list[AnyRow]) -> list[Checkpoint]:
    if not rows:
        return []
    by_id: dict[str, list[Decision]] = {}
    for row in connection.execute(_MADE, {"ids": [row.id for row in rows]}):
        by_id.setdefault(row.checkpoint_id, []).append(row.decision)
    found: list[Checkpoint] = []
    for row in rows:
        fields = {name: getattr(row, name) for name in Checkpoint.model_fields if name != "decisions"}
        for long in ("arguments", "envelope", "rendered"):
            fields[long] = _fetch(connection, fields[long])
        found.append(Checkpoint(**fields, decisions=tuple(by_id.get(row.id, ()))))
    return found


def _stow(tx: Tx, value: Any) -> str | None:
    return None if value is None else bodies.stow(tx.connection, orjson.dumps(value).decode())


def _fetch(connection: Connection, kept: str | None) -> Any:
    return None if kept is None else orjson.loads(bodies.fetch(connection, kept))
