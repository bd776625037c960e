"""Seals: text that only this deployment reads, and only as what it was sealed for."""

import base64
import binascii
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_NONCE = 12


class Seal:
    """AES-256-GCM under a key of its own, derived from the deployment's pepper. `place` says what a text is
    and whose: sealed for one place, it opens in no other."""

    def __init__(self, pepper: bytes) -> None:
        self._cipher = AESGCM(HKDF(SHA256(), 32, salt=None, info=b"rhone seal 1").derive(pepper))

    def close(self, text: str, *place: str) -> str:
        nonce = os.urandom(_NONCE)
        sealed = self._cipher.encrypt(nonce, text.encode(), _bound(place))
        return base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, *place: str) -> str | None:
        """None where it was sealed for another place, under another pepper, or changed since."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            return self._cipher.decrypt(raw[:_NONCE], raw[_NONCE:], _bound(place)).decode()
        except (binascii.Error, InvalidTag, ValueError):
            return None


def _bound(place: tuple[str, ...]) -> bytes:
    return b"".join(len(part.encode()).to_bytes(4, "big") + part.encode() for part in place)
