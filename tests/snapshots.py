"""A capability snapshot for tests: what a run may do, signed by nobody."""

from datetime import datetime

from protocol.capability import CapabilitySnapshot, Grant, SnapshotDocument
from protocol.digest import digest
from protocol.ids import RunId, SnapshotId, fresh
from protocol.noun import JSONObject


def unsigned(
    run_id: RunId, at: datetime, *grants: Grant, target: JSONObject | None = None
) -> CapabilitySnapshot:
    document = SnapshotDocument(
        run_id=run_id,
        requested=(),
        grants=grants,
        denials=(),
        downgrades=(),
        policy_digest="sha256:p",
        policy_engine="none",
        principal="prin_admin",
        target=target,
    )
    return CapabilitySnapshot(
        id=SnapshotId(fresh("capsnap_")),
        digest=digest(document),
        document=document,
        signature="s",
        key_id="k",
        created_at=at,
    )
