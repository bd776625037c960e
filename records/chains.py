"""The hash chains of runs, as one transaction goes on with them: hashed at once, stored at its commit."""

import os
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, insert, select

from protocol.digest import canonical
from protocol.ids import RunId
from protocol.noun import JSON, JSONObject, rfc3339
from protocol.receipt import FIRST, RecordKind, payload_digest, seal_record
from records.conflicts import insert_unless_there
from records.receipt_tables import receipt_payloads, receipts, unsealed

SIGNED_EVERY = 256
"""A long run's chain is signed on its way too."""

# Statements that every step executes are built once: building one costs ten times its execution.
_END = (
    select(receipts.c.ordinal, receipts.c.hash, receipts.c.evidence)
    .where(receipts.c.run_id == bindparam("of"))
    .order_by(receipts.c.ordinal.desc())
    .limit(1)
)
_ADD = insert(receipts)
_ADD_PAYLOAD = insert(receipt_payloads)


class End(NamedTuple):
    """Where a chain ends; `evidence` is the digest of what was last materialized."""

    ordinal: int
    hash: str
    evidence: str | None


class Chains:
    """Each run must be locked by whoever appends. A record that cannot be stored fails its whole transaction,
    so what it tells of does not happen."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ends: dict[RunId, End] = {}
        self._records: list[dict[str, Any]] = []
        self._payloads: list[dict[str, Any]] = []
        self._unsealed: set[RunId] = set()

    def append(
        self, run_id: RunId, kind: RecordKind, at: datetime, body: JSONObject, payload: JSON, *, ended: bool
    ) -> None:
        """`payload` stands in the record as a salted digest; what follows an end has to be signed anew."""
        end = self.end(run_id)
        ordinal = end.ordinal + 1
        salted = None
        if payload is not None:
            salt = os.urandom(16).hex()
            value = canonical(payload)
            salted = payload_digest(salt, value)
            row = {"run_id": run_id, "ordinal": ordinal, "salt": salt, "value": value.decode()}
            self._payloads.append(row)
        sealed = seal_record(run_id, ordinal, end.hash, kind, rfc3339(at), body, salted)
        evidence = str(body["digest"]) if kind == "evidence" else end.evidence
        row = {"run_id": run_id, "ordinal": ordinal, "kind": kind, "hash": sealed.hash}
        self._records.append(row | {"record": sealed.text, "evidence": evidence})
        self._ends[run_id] = End(ordinal, sealed.hash, evidence)
        if ended or kind == "end" or ordinal % SIGNED_EVERY == 0:
            self._unsealed.add(run_id)

    def end(self, run_id: RunId) -> End:
        found = self._ends.get(run_id)
        if found is None:
            row = self._connection.execute(_END, {"of": run_id}).first()
            found = self._ends[run_id] = End(*row) if row else End(0, FIRST, None)
        return found

    def store(self) -> bool:
        """Whether a chain has come to an end that has to be signed."""
        if self._records:
            self._connection.execute(_ADD, self._records)
        if self._payloads:
            self._connection.execute(_ADD_PAYLOAD, self._payloads)
        for run_id in sorted(self._unsealed):
            insert_unless_there(self._connection, unsealed, {"run_id": run_id})
        return bool(self._unsealed)
