"""Signatures: Ed25519 over exact bytes, with a key that is given, never looked up."""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.config import FormerKey
from protocol.errors import InvalidRequest


def generate() -> bytes:
    """A new private key as PKCS #8 PEM, the form in which `signing.key` holds it."""
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


class Signer:
    """A private key that signs and names itself."""

    def __init__(self, pem: bytes) -> None:
        try:
            key = serialization.load_pem_private_key(pem, password=None)
        except (ValueError, TypeError) as error:
            raise InvalidRequest("signing.key_invalid", "the signing key is not a PEM private key") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidRequest("signing.key_invalid", "the signing key is not an Ed25519 key")
        self._key = key
        self.public_key = key.public_key().public_bytes_raw()
        self.key_id = key_id(self.public_key)

    def sign(self, message: bytes) -> str:
        return base64.b64encode(self._key.sign(message)).decode()


class TrustedKey(NamedTuple):
    """A public key whose signatures an installation believes; none that was made since it was revoked."""

    public_key: bytes
    revoked_at: datetime | None = None


def former_keys(declared: Sequence[FormerKey]) -> dict[str, TrustedKey]:
    """The keys that signed before, by their ids."""
    keys = (TrustedKey(base64.b64decode(key.public_key), key.revoked_at) for key in declared)
    return {key_id(key.public_key): key for key in keys}


def key_id(public_key: bytes) -> str:
    return hashlib.sha256(public_key).hexdigest()[:16]


def signed_by(public_key: bytes, message: bytes, signature: str) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, message)
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True
