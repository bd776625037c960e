"""Capability snapshots and their evidence: written once, never changed; and the policy texts they pin."""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, insert, select

from protocol.capability import CapabilitySnapshot, Evidence, SnapshotDocument
from protocol.digest import canonical, digest
from protocol.ids import SnapshotId
from protocol.noun import JSONObject
from protocol.principal import Tenant
from records import bodies, receipts
from records.columns import AnyRow, all_of, owned_by
from records.conflicts import insert_unless_there
from records.tables import evidence, policies, snapshots
from records.tx import Tx

_ALL = select(
    *(snapshots.c[name] for name in ("id", "digest", "document", "signature", "key_id", "created_at"))
)
_ONE = _ALL.where(snapshots.c.id == bindparam("of"))


def add(tx: Tx, tenant: Tenant, snapshot: CapabilitySnapshot, asked: Sequence[JSONObject] = ()) -> bool:
    """False where a former try has kept it; `asked` are the questions that it was resolved from."""
    row = snapshot.model_dump(exclude={"document"}) | tenant.model_dump()
    document = bodies.stow(tx.connection, canonical(snapshot.document).decode())
    row |= {"document": document, "run_id": snapshot.document.run_id}
    if not insert_unless_there(tx.connection, snapshots, row):
        return False
    receipts.resolved(tx, snapshot, asked)
    return True


def get(connection: Connection, tenant: Tenant, snapshot_id: SnapshotId) -> CapabilitySnapshot | None:
    row = connection.execute(_ONE.where(owned_by(tenant, snapshots)), {"of": snapshot_id}).first()
    return None if row is None else _snapshot(connection, row)


def load(connection: Connection, snapshot_id: SnapshotId) -> CapabilitySnapshot | None:
    row = connection.execute(_ONE, {"of": snapshot_id}).first()
    return None if row is None else _snapshot(connection, row)


def add_evidence(tx: Tx, snapshot_id: SnapshotId, kind: str, body: JSONObject) -> Evidence:
    """What was really materialized, at the end of the chain; under the lock of the snapshot's run."""
    of = select(snapshots.c.run_id, snapshots.c.digest).where(snapshots.c.id == snapshot_id)
    run_id, snapshot_digest = tx.connection.execute(of).one()
    chain = select(evidence.c.ordinal, evidence.c.digest).where(evidence.c.snapshot_id == snapshot_id)
    last = tx.connection.execute(chain.order_by(evidence.c.ordinal.desc()).limit(1)).first()
    open_row = Evidence(
        snapshot_id=snapshot_id,
        snapshot_digest=snapshot_digest,
        ordinal=last.ordinal + 1 if last else 1,
        kind=kind,
        body=body,
        previous=last.digest if last else snapshot_digest,
        digest="",
        at=tx.now,
    )
    covered = open_row.model_dump(mode="json", exclude={"digest"}, exclude_none=True)
    row = open_row.model_copy(update={"digest": digest(covered)})
    tx.connection.execute(insert(evidence).values(row.model_dump()))
    receipts.materialized(tx, run_id, row)
    return row


def list_evidence(connection: Connection, snapshot_id: SnapshotId) -> list[Evidence]:
    query = select(evidence).where(evidence.c.snapshot_id == snapshot_id).order_by(evidence.c.ordinal)
    return all_of(Evidence, connection.execute(query))


def keep_policy(tx: Tx, policy_digest: str, text: str) -> None:
    row = {"digest": policy_digest, "text": text, "created_at": tx.now}
    insert_unless_there(tx.connection, policies, row)


def policy_text(connection: Connection, policy_digest: str) -> str | None:
    return connection.execute(select(policies.c.text).where(policies.c.digest == policy_digest)).scalar()


def _snapshot(connection: Connection, row: AnyRow) -> CapabilitySnapshot:
    return CapabilitySnapshot(
        id=row.id,
        digest=row.digest,
        document=SnapshotDocument.model_validate_json(bodies.fetch(connection, row.document)),
        signature=row.signature,
        key_id=row.key_id,
        created_at=row.created_at,
    )
