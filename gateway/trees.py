"""A run's work tree from outside: its diff from the base, and one file of it, as the last step saved them."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from gateway.access import Reader
from gateway.answers import one
from gateway.gateway import Gateway, Here
from gateway.names import run_named
from protocol.errors import InvalidRequest, NotFound
from protocol.noun import Noun
from protocol.principal import Caller
from workflows.messages import Look

router = APIRouter(tags=["runs"])


class Diff(Noun):
    """From the base commit to the saved work tree, with what is not committed; rendered as a push is."""

    run_id: str
    diff_digest: str
    diff: str


@router.get("/v1/runs/{run_id}/diff", response_model=Diff)
async def get_diff(here: Here, caller: Reader, run_id: str) -> Response:
    digest, data = await _looked(here, caller, run_id, None)
    return one(Diff(run_id=run_id, diff_digest=digest, diff=data.decode(errors="replace")))


@router.get("/v1/runs/{run_id}/workspace/files")
async def read_workspace_file(
    here: Here, caller: Reader, run_id: str, path: Annotated[str, Query(min_length=1)]
) -> Response:
    """The file's bytes; never served as anything that a browser would run."""
    digest, data = await _looked(here, caller, run_id, path)
    try:
        data.decode()
        kind = "text/plain; charset=utf-8"
    except UnicodeDecodeError:
        kind = "application/octet-stream"
    headers = {"X-Content-Type-Options": "nosniff", "ETag": f'"{digest}"'}
    return Response(data, media_type=kind, headers=headers)


async def _looked(here: Gateway, caller: Caller, run_id: str, path: str | None) -> tuple[str, bytes]:
    run = (await here.database.read(lambda c: run_named(c, caller.tenant, run_id))).run
    seen = await here.engine.look(Look(run_id=run.id, path=path))
    if seen.blob is not None:
        return seen.blob, here.database.blobs.get(seen.blob)
    if seen.code in ("run.diff_unavailable", "target.not_found", "run.not_opened"):
        raise NotFound(
            seen.code, seen.message or "there is nothing to be seen", param="path" if path else None
        )
    raise InvalidRequest(
        seen.code or "run.diff_unavailable", seen.message or "it cannot be shown", param="path"
    )
