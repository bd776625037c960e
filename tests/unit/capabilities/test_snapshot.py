"""A sealed snapshot proves itself."""

from datetime import UTC, datetime

import pytest

from capabilities.signing import Signer, TrustedKey, generate, key_id, signed_by
from capabilities.snapshot import NotVerified, Verified, seal, verify, verify_any
from protocol.capability import CapabilitySnapshot, Denial, SnapshotDocument
from protocol.digest import digest
from protocol.errors import InvalidRequest
from protocol.ids import RunId, SnapshotId

DOCUMENT = SnapshotDocument(
    run_id=RunId("run_1"),
    requested=(),
    grants=(),
    denials=(Denial(kind="tool", name="bash", rule="own.no", reason="a rule forbids it"),),
    downgrades=(),
    policy_digest="sha256:policy",
    policy_engine="cedarpy 4.12.2",
    principal="prin_1",
)
SIGNER = Signer(generate())


def sealed() -> CapabilitySnapshot:
    return seal(DOCUMENT, SnapshotId("capsnap_1"), datetime(2026, 1, 1, tzinfo=UTC), SIGNER)


def test_a_sealed_snapshot_is_verified_with_the_public_key_alone() -> None:
    snapshot = sealed()
    assert snapshot.digest == digest(DOCUMENT)
    assert snapshot.key_id == key_id(SIGNER.public_key)
    assert verify(snapshot, SIGNER.public_key) == Verified()


def test_a_sealed_snapshot_is_verified_after_it_was_stored() -> None:
    assert verify(CapabilitySnapshot.model_validate_json(sealed().model_dump_json()), SIGNER.public_key) == (
        Verified()
    )


def test_a_changed_document_is_told() -> None:
    changed = sealed().model_copy(update={"document": DOCUMENT.model_copy(update={"denials": ()})})
    assert verify(changed, SIGNER.public_key) == NotVerified(
        reason="the document is not the one that the digest names"
    )


def test_a_changed_document_with_its_own_digest_is_told_by_the_signature() -> None:
    document = DOCUMENT.model_copy(update={"denials": ()})
    changed = sealed().model_copy(update={"document": document, "digest": digest(document)})
    assert verify(changed, SIGNER.public_key) == NotVerified(reason="the signature does not fit the document")


def test_another_key_is_told() -> None:
    assert isinstance(verify(sealed(), Signer(generate()).public_key), NotVerified)


@pytest.mark.parametrize("signature", ["", "AAAA", "not base64", "é"])
def test_a_signature_that_is_none_is_no_crash(signature: str) -> None:
    assert not signed_by(SIGNER.public_key, b"message", signature)


def test_the_format_of_the_document_is_stable() -> None:
    """A field that is added to a digested noun needs None as its default: old digests must come out again."""
    assert digest(DOCUMENT) == "sha256:3d7d947b7406eba7889ec4a17f824f0e7e882dcc813117f153fe2da80692e035"


NO_KEY = b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize("key", [b"", b"x" * 32, NO_KEY])
def test_a_key_that_is_none_is_refused(key: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Signer(key)
    assert refused.value.code == "signing.key_invalid"


def test_only_keys_that_are_believed_are_believed_and_only_until_they_are_revoked() -> None:
    snapshot = sealed()

    def under(**revoked: datetime) -> Verified | NotVerified:
        return verify_any(snapshot, {SIGNER.key_id: TrustedKey(SIGNER.public_key, **revoked)})

    assert under() == Verified()
    assert under(revoked_at=datetime(2026, 1, 2, tzinfo=UTC)) == Verified()
    assert isinstance(under(revoked_at=datetime(2026, 1, 1, tzinfo=UTC)), NotVerified)
    assert isinstance(verify_any(snapshot, {}), NotVerified)
