"""Snapshots: a resolved document sealed by its digest and a signature, and the check of both."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from capabilities.signing import Signer, TrustedKey, key_id, signed_by
from protocol.capability import CapabilitySnapshot, Evidence, SnapshotDocument
from protocol.digest import canonical, digest, digest_bytes
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


def verify_any(snapshot: CapabilitySnapshot, keys: Mapping[str, TrustedKey]) -> Verified | NotVerified:
    """Under one of the keys that an installation believes, each by its id."""
    key = keys.get(snapshot.key_id)
    if key is None:
        return NotVerified(reason=f"nobody here believes the key {snapshot.key_id}")
    if key.revoked_at is not None and snapshot.created_at >= key.revoked_at:
        return NotVerified(reason=f"the key {snapshot.key_id} was revoked before it was signed")
    return verify(snapshot, key.public_key)


def verify_evidence(snapshot: CapabilitySnapshot, chain: Sequence[Evidence]) -> Verified | NotVerified:
    """Whether the rows are one unbroken chain from the snapshot on; rows cut off at its end do not show."""
    previous = snapshot.digest
    for ordinal, row in enumerate(chain, 1):
        if (row.snapshot_digest, row.ordinal, row.previous) != (snapshot.digest, ordinal, previous):
            return NotVerified(reason=f"row {ordinal} of the evidence does not follow from what is before it")
        covered = row.model_dump(mode="json", exclude={"digest"}, exclude_none=True)
        if digest(covered) != row.digest:
            return NotVerified(reason=f"row {ordinal} of the evidence is not the one that its digest names")
        previous = row.digest
    return Verified()
