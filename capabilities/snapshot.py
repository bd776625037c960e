"""Snapshots: a resolved document sealed by its digest and a signature, and the check of both."""

from datetime import datetime

from capabilities.signing import Signer, key_id, signed_by
from protocol.capability import CapabilitySnapshot, SnapshotDocument
from protocol.digest import canonical, digest_bytes
from protocol.ids import SnapshotId
from protocol.noun import Noun


class Verified(Noun):
    pass


class NotVerified(Noun):
    reason: str


def seal(
    document: SnapshotDocument, snapshot_id: SnapshotId, created_at: datetime, signer: Signer
) -> CapabilitySnapshot:
    body = canonical(document)
    return CapabilitySnapshot(
        id=snapshot_id,
        digest=digest_bytes(body),
        document=document,
        signature=signer.sign(body),
        key_id=signer.key_id,
        created_at=created_at,
    )


def verify(snapshot: CapabilitySnapshot, public_key: bytes) -> Verified | NotVerified:
    body = canonical(snapshot.document)
    if digest_bytes(body) != snapshot.digest:
        return NotVerified(reason="the document is not the one that the digest names")
    if key_id(public_key) != snapshot.key_id:
        return NotVerified(reason=f"it was signed with the key {snapshot.key_id}, not {key_id(public_key)}")
    if not signed_by(public_key, body, snapshot.signature):
        return NotVerified(reason="the signature does not fit the document")
    return Verified()
