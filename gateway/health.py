"""How the process is: alive, ready or what is missing, and its counters."""

import asyncio
from collections.abc import Awaitable

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from gateway.answers import one
from gateway.gateway import Here
from protocol.errors import Unavailable
from protocol.noun import Noun

router = APIRouter(tags=["process"])


class Health(Noun):
    """`missing` names each part that does not answer, with the reason."""

    status: str
    missing: dict[str, str] = {}


@router.get("/healthz", response_model=Health)
async def healthz() -> Response:
    """The process runs."""
    return one(Health(status="ok"))


@router.get("/readyz", response_model=Health, responses={503: {"model": Health}})
async def readyz(here: Here) -> Response:
    """The process can serve; 503 names what is not ready."""
    parts: dict[str, Awaitable[None]] = {"database": here.database.ping(), "temporal": here.engine.check()}
    answers = await asyncio.gather(*parts.values(), return_exceptions=True)
    missing: dict[str, str] = {}
    for name, answer in zip(parts, answers, strict=True):
        if isinstance(answer, Unavailable):
            missing[name] = answer.message
        elif answer is not None:
            raise answer
    if not here.prepared.is_set():
        missing["migrations"] = "the tables are not up to date yet"
    if here.room.drained.is_set():
        missing["gateway"] = "it is being stopped"
    if missing:
        return one(Health(status="not_ready", missing=missing), 503, {"Retry-After": "1"})
    return one(Health(status="ready"))


@router.get("/metrics")
async def metrics(here: Here) -> Response:
    return Response(here.metrics.text(), media_type=CONTENT_TYPE_LATEST)
