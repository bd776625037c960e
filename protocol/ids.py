"""Prefixed, sortable ids: a prefix, ten characters of milliseconds, sixteen that tell apart."""

import hashlib
import os
import re
import time
from typing import NewType

OrgId = NewType("OrgId", str)
ProjectId = NewType("ProjectId", str)
PrincipalId = NewType("PrincipalId", str)
KeyId = NewType("KeyId", str)
SessionId = NewType("SessionId", str)
RunId = NewType("RunId", str)
CallId = NewType("CallId", str)
ToolExecutionId = NewType("ToolExecutionId", str)
CheckpointId = NewType("CheckpointId", str)
SnapshotId = NewType("SnapshotId", str)
BlockId = NewType("BlockId", str)
BoxId = NewType("BoxId", str)
ArtifactId = NewType("ArtifactId", str)

PREFIXES = {
    "org_": OrgId,
    "proj_": ProjectId,
    "prin_": PrincipalId,
    "key_": KeyId,
    "sess_": SessionId,
    "run_": RunId,
    "call_": CallId,
    "tool_": ToolExecutionId,
    "ckpt_": CheckpointId,
    "capsnap_": SnapshotId,
    "blk_": BlockId,
    "box_": BoxId,
    "art_": ArtifactId,
    "req_": str,
}

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_BODY = re.compile(f"[{_ALPHABET}]{{26}}")


def _base32(value: int, length: int) -> str:
    out = ""
    for _ in range(length):
        out = _ALPHABET[value & 31] + out
        value >>= 5
    return out


def mint(prefix: str, at_ms: int, entropy: bytes) -> str:
    """An id for a moment (milliseconds since the epoch) and ten bytes of entropy."""
    return prefix + _base32(at_ms, 10) + _base32(int.from_bytes(entropy[:10], "big"), 16)


def fresh(prefix: str) -> str:
    """A new id by this process's clock; for layers that do I/O, never for workflow code."""
    return mint(prefix, time.time_ns() // 1_000_000, os.urandom(10))


def derived(prefix: str, parent: str, ordinal: int, *parts: str | int) -> str:
    """An id that is the same each time it is asked for: a retried activity names the same thing.

    It keeps the parent's moment and sorts by `ordinal` (below 2**20) among its siblings.
    """
    seed = hashlib.sha256("\0".join([prefix, parent, str(ordinal), *map(str, parts)]).encode()).digest()
    moment = parent.rpartition("_")[2][:10]
    return prefix + moment + _base32(ordinal, 4) + _base32(int.from_bytes(seed[:8], "big"), 12)


def is_id(prefix: str, text: str) -> bool:
    return text.startswith(prefix) and _BODY.fullmatch(text[len(prefix) :]) is not None
