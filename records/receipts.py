"""What each fact says in the receipt of its run: who, what, under which policy; contents only as digests."""

from collections.abc import Sequence
from datetime import datetime

from protocol.capability import CapabilitySnapshot, Evidence
from protocol.checkpoint import Checkpoint, CheckpointStatus, Decision
from protocol.digest import digest_bytes
from protocol.effect import EffectRow, EffectState
from protocol.ids import CheckpointId, RunId
from protocol.noun import JSONObject, rfc3339
from protocol.receipt import Ruling
from records.columns import AnyRow
from records.tx import Tx


def resolved(tx: Tx, snapshot: CapabilitySnapshot, asked: Sequence[JSONObject]) -> None:
    body: JSONObject = {
        "snapshot_id": snapshot.id,
        "digest": snapshot.digest,
        "key_id": snapshot.key_id,
        "signature": snapshot.signature,
        "policy_digest": snapshot.document.policy_digest,
    }
    tx.attest(snapshot.document.run_id, "snapshot", body, {"asked": list(asked)})


def materialized(tx: Tx, run_id: RunId, row: Evidence) -> None:
    body: JSONObject = {
        "snapshot_id": row.snapshot_id,
        "number": row.ordinal,
        "kind": row.kind,
        "digest": row.digest,
    }
    tx.attest(run_id, "evidence", body)


def ruled(tx: Tx, run_id: RunId, subject: str, ruling: Ruling | None) -> None:
    """The gate's decision over a tool execution, or over a model call or a box of the run's, with everything
    that it can be derived from again."""
    if ruling is None:
        return
    body = ruling.model_dump(mode="json", exclude={"question", "reason"}, exclude_none=True)
    payload = ruling.model_dump(mode="json", include={"question", "reason"}, exclude_none=True)
    tx.attest(run_id, "gate", {"tool_execution_id": subject, **body}, payload)


def opened(tx: Tx, run_id: RunId, new: JSONObject, expires_at: datetime) -> None:
    names = ("tool", "tool_execution_id", "envelope_digest", "rule", "requested_by", "required")
    body: JSONObject = {
        "checkpoint_id": new["id"],
        "status": "open",
        "checkpoint_kind": new["kind"],
        "rendered_digest": digest_bytes(str(new["rendered"]).encode()),
        "expires_at": rfc3339(expires_at),
        **{name: new[name] for name in names},
    }
    tx.attest(run_id, "checkpoint", body)


def moved(tx: Tx, checkpoint: Checkpoint, status: CheckpointStatus) -> None:
    body: JSONObject = {"checkpoint_id": checkpoint.id, "status": status}
    tx.attest(checkpoint.run_id, "checkpoint", body)


def decided(tx: Tx, checkpoint: Checkpoint, decision: Decision) -> None:
    erasable = {"by_name", "reason", "arguments", "answer"}
    body = decision.model_dump(mode="json", exclude=erasable | {"at"}, exclude_none=True)
    payload = decision.model_dump(mode="json", include=erasable, exclude_none=True)
    tx.attest(checkpoint.run_id, "decision", {"checkpoint_id": checkpoint.id, **body}, payload)


def claimed(tx: Tx, row: EffectRow, epoch: int, envelope_digest: str, approval: CheckpointId | None) -> None:
    body: JSONObject = {
        "tool_execution_id": row.tool_execution_id,
        "effect": row.effect,
        "epoch": epoch,
        "envelope_digest": envelope_digest,
        "approval": approval,
        "evidence": tx.evidence(row.run_id),
    }
    tx.attest(row.run_id, "claim", body)


def settled(tx: Tx, row: AnyRow, state: EffectState, result: JSONObject | None) -> None:
    """`row` is the effect's: its run, execution, epoch and envelope."""
    tx.attest(row.run_id, "outcome", _effect(row) | {"state": state}, {"result": result} if result else None)


def undone(tx: Tx, row: AnyRow) -> None:
    """What it did is lost with its box."""
    tx.attest(row.run_id, "undone", _effect(row))


def _effect(row: AnyRow) -> JSONObject:
    return {
        "tool_execution_id": row.tool_execution_id,
        "epoch": row.epoch,
        "envelope_digest": row.envelope_digest,
    }
