"""API keys as text: `rhone_sk_`, 26 characters that name the key, `_`, 43 characters of secret.

What is kept is an HMAC of the secret under the deployment's pepper. `rhone_rt_` is kept free for tokens that
reach one run only.
"""

import base64
import hashlib
import hmac
import os
import re
from pathlib import Path
from typing import NamedTuple

from protocol.ids import KeyId, fresh

_KEY = re.compile(r"(?:rhone|vai)_sk_([0-9a-hjkmnp-tv-z]{26})_([A-Za-z0-9_-]{43})")


class MintedKey(NamedTuple):
    """`token` is shown once."""

    key_id: KeyId
    token: str
    secret_hash: str


class ReadKey(NamedTuple):
    key_id: KeyId
    secret_hash: str


def mint(pepper: bytes) -> MintedKey:
    key_id = KeyId(fresh("key_"))
    secret = base64.urlsafe_b64encode(os.urandom(32)).decode().rstrip("=")
    return MintedKey(key_id, f"rhone_sk_{key_id.removeprefix('key_')}_{secret}", _hash(secret, pepper))


def read(token: str, pepper: bytes) -> ReadKey | None:
    """What a token claims to be; None where it does not look like a key at all."""
    match = _KEY.fullmatch(token)
    return None if match is None else ReadKey(KeyId("key_" + match[1]), _hash(match[2], pepper))


def pepper_in(folder: Path) -> bytes:
    """The deployment's pepper, made at the first start; processes that start together agree on one."""
    path = folder / "pepper"
    if not path.exists():
        new = folder / f".pepper-{os.getpid()}-{os.urandom(4).hex()}"
        handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(os.urandom(32).hex().encode())
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(new, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(new)
    return path.read_bytes()


def _hash(secret: str, pepper: bytes) -> str:
    return hmac.new(pepper, secret.encode(), hashlib.sha256).hexdigest()
