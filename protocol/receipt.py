"""Receipts: the hash chain of what was decided and done in a run; docs/receipts.md has the format."""

import hashlib
from typing import Literal, NamedTuple

import orjson

from protocol.digest import canonical, digest_bytes
from protocol.ids import ProjectId, RunId
from protocol.noun import JSONObject, Noun

RecordKind = Literal[
    "snapshot", "evidence", "gate", "checkpoint", "decision", "claim", "outcome", "undone", "egress", "end"
]
FIRST = "sha256:" + 64 * "0"
"""What the first record of a chain names as the one before it."""

_RECORD = b"rhone.receipt.record.1\0"
_PAYLOAD = b"rhone.receipt.payload.1\0"


class Sealed(NamedTuple):
    """A record as it is kept: its canonical text, and the hash that the next one names."""

    text: str
    hash: str


class RunHead(Noun):
    """The end of a run's chain, as it is signed over its RFC 8785 form."""

    type: Literal["rhone.receipt.run.1"] = "rhone.receipt.run.1"
    alg: Literal["Ed25519"] = "Ed25519"
    key_id: str
    project_id: ProjectId
    run_id: RunId
    ordinal: int
    hash: str
    at: str


class LogHead(Noun):
    """The Merkle root over the signed ends of a project's chains, as it is signed."""

    type: Literal["rhone.receipt.log.1"] = "rhone.receipt.log.1"
    alg: Literal["Ed25519"] = "Ed25519"
    key_id: str
    project_id: ProjectId
    size: int
    root: str
    at: str


class Ruling(Noun):
    """What the gate decided about a call, and from what: `question` is what the engine was asked, None where
    nothing was granted and so nothing was asked."""

    tool: str
    answer: Literal["allow", "ask", "deny"]
    rule: str
    reason: str
    policy_digest: str
    definition_digest: str | None = None
    verdict: JSONObject | None = None
    question: JSONObject | None = None


def seal_record(
    run_id: RunId, ordinal: int, prev: str, kind: RecordKind, at: str, body: JSONObject, payload: str | None
) -> Sealed:
    record: JSONObject = {
        "version": 1,
        "run_id": run_id,
        "ordinal": ordinal,
        "prev": prev,
        "kind": kind,
        "at": at,
        "body": {name: value for name, value in body.items() if value is not None},
    }
    if payload is not None:
        record["payload"] = payload
    # names in ASCII, no fractions: of such a record this is the canonical form, at a tenth of the time
    data = orjson.dumps(record, option=orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER)
    return Sealed(data.decode(), digest_bytes(_RECORD + data))


def payload_digest(salt: str, value: bytes) -> str:
    """What stands in the record for a payload in canonical form: nobody can guess it without the salt."""
    return digest_bytes(_PAYLOAD + bytes.fromhex(salt) + value)


def leaf_hash(run_id: str, ordinal: int, head: str) -> bytes:
    """RFC 6962: a leaf begins with a zero byte, an inner node with a one."""
    return hashlib.sha256(b"\0" + canonical({"run_id": run_id, "ordinal": ordinal, "hash": head})).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
