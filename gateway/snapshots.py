"""Capability snapshots as they are served: the signed document, and what was materialized under it."""

from fastapi import APIRouter
from sqlalchemy import Connection
from starlette.responses import Response

from gateway.access import Reader
from gateway.answers import one
from gateway.gateway import Here
from protocol.capability import CapabilitySnapshot, Evidence
from protocol.errors import NotFound
from protocol.ids import SnapshotId, is_id
from protocol.principal import Tenant
from records import snapshots

router = APIRouter(tags=["snapshots"])


class SnapshotView(CapabilitySnapshot):
    """A snapshot with its evidence."""

    evidence: tuple[Evidence, ...]


@router.get("/v1/capability-snapshots/{snapshot_id}", response_model=SnapshotView)
async def get_snapshot(here: Here, caller: Reader, snapshot_id: str) -> Response:
    return one(await here.database.read(lambda c: snapshot_view(c, caller.tenant, snapshot_id)))


def snapshot_view(connection: Connection, tenant: Tenant, name: str) -> SnapshotView:
    found = snapshots.get(connection, tenant, SnapshotId(name)) if is_id("capsnap_", name) else None
    if found is None:
        raise NotFound("capability.snapshot_not_found", f"there is no snapshot {name[:200]!r}")
    evidence = tuple(snapshots.list_evidence(connection, found.id))
    fields = {field: getattr(found, field) for field in CapabilitySnapshot.model_fields}
    return SnapshotView(**fields, evidence=evidence)
