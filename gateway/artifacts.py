"""A run's artifacts: the list, and the bytes of one."""

import asyncio
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.responses import Response

from gateway.access import Reader
from gateway.answers import Forward, Listed, cut, many
from gateway.gateway import Here
from gateway.names import run_named
from protocol.artifact import Artifact
from protocol.errors import NotFound
from records import artifacts

router = APIRouter(tags=["runs"])


@router.get("/v1/runs/{run_id}/artifacts", response_model=Listed[Artifact])
async def list_run_artifacts(
    here: Here, caller: Reader, run_id: str, page: Annotated[Forward, Query()]
) -> Response:
    """What the run kept, oldest first; of two with one name the later one counts."""

    def query(connection: Connection) -> list[Artifact]:
        return artifacts.list_artifacts(connection, run_named(connection, caller.tenant, run_id).run.id)

    return many(cut(await here.database.read(query), page, lambda kept: kept.id))


@router.get("/v1/runs/{run_id}/artifacts/{artifact_id}/content", response_class=Response)
async def read_artifact(here: Here, caller: Reader, run_id: str, artifact_id: str) -> Response:
    """The bytes, to be saved: whatever type they claim, a browser neither guesses it nor runs them."""

    def query(connection: Connection) -> Artifact | None:
        found = run_named(connection, caller.tenant, run_id)
        return artifacts.get(connection, found.run.id, artifact_id)

    kept = await here.database.read(query)
    if kept is None:
        raise NotFound("artifact.not_found", f"the run has no artifact {artifact_id[:200]!r}")
    data = await asyncio.to_thread(here.database.blobs.get, kept.digest)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(kept.name, safe='')}",
        "Content-Security-Policy": "sandbox",
        "ETag": f'"{kept.digest}"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(data, media_type="application/octet-stream", headers=headers)
