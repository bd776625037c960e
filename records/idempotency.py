"""Idempotency keys: the same mutation asked for twice is made once and answered twice.

What is kept is the resource's id and status, not the answer. A row in flight belongs to the process that
works on it; when that dies, its lease runs out and the next caller takes the row over.
"""

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, select, update

from protocol.digest import digest
from protocol.ids import PrincipalId, ProjectId
from protocol.noun import Noun
from records.conflicts import insert_unless_there
from records.tables import idempotency
from records.tx import Tx

i = idempotency.c
LEASE = timedelta(seconds=60)
KEPT = timedelta(hours=24)


class Scope(Noun):
    """Where a key is unique."""

    project_id: ProjectId
    principal_id: PrincipalId
    route: str
    path_ids: tuple[str, ...]
    key: str

    @property
    def digest(self) -> str:
        return digest(self)


class Begun(Noun):
    """Go on, then `keep` in the transaction that makes the resource, or `forget`."""


class Replay(Noun):
    resource_id: str
    status: int


class InProgress(Noun):
    """Another request with this key is being worked on."""


class Mismatch(Noun):
    """The key was used for another payload."""


def begin(tx: Tx, scope: Scope, payload_digest: str) -> Begun | Replay | InProgress | Mismatch:
    fresh = {
        "payload_digest": payload_digest,
        "state": "in_flight",
        "resource_id": None,
        "status": None,
        "leased_until": tx.now + LEASE,
        "expires_at": tx.now + KEPT,
    }
    if insert_unless_there(tx.connection, idempotency, {"scope": scope.digest, **fresh}):
        return Begun()
    if _take_over(tx, scope, fresh, i.expires_at <= tx.now):
        return Begun()
    row = tx.connection.execute(select(idempotency).where(i.scope == scope.digest)).one()
    if row.payload_digest != payload_digest:
        return Mismatch()
    if row.state == "kept":
        return Replay(resource_id=row.resource_id, status=row.status)
    lapsed = (i.state == "in_flight") & (i.leased_until <= tx.now)
    return Begun() if _take_over(tx, scope, fresh, lapsed) else InProgress()


def keep(tx: Tx, scope: Scope, resource_id: str, status: int) -> None:
    tx.connection.execute(
        update(idempotency)
        .where(i.scope == scope.digest)
        .values(state="kept", resource_id=resource_id, status=status)
    )


def forget(tx: Tx, scope: Scope) -> None:
    """The mutation failed in a way that repeating may mend: as if it had not been asked for."""
    tx.connection.execute(delete(idempotency).where(i.scope == scope.digest, i.state == "in_flight"))


def withdraw(tx: Tx, scope: Scope, resource_id: str) -> None:
    """What was kept came to nothing: the same key may begin anew."""
    tx.connection.execute(delete(idempotency).where(i.scope == scope.digest, i.resource_id == resource_id))


def sweep(tx: Tx) -> int:
    """Forget what is older than a day."""
    return tx.connection.execute(delete(idempotency).where(i.expires_at <= tx.now)).rowcount


def _take_over(tx: Tx, scope: Scope, fresh: Mapping[str, object], when: ColumnElement[bool]) -> bool:
    taken = update(idempotency).where(i.scope == scope.digest, when).values(**fresh)
    return tx.connection.execute(taken).rowcount == 1
