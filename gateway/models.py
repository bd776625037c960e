"""Models as they are served: what the providers of this deployment answer to."""

import orjson
from fastapi import APIRouter
from starlette.responses import Response

from gateway.access import Reader
from gateway.answers import JSON_TYPE, Listed
from gateway.gateway import Here
from protocol.noun import JSONObject, Noun

router = APIRouter(tags=["models"])


class Model(Noun):
    """A model by its full name, and the aliases that lead to it."""

    id: str
    provider: str
    capabilities: JSONObject
    context_window: int | None = None
    aliases: tuple[str, ...] = ()


@router.get("/v1/models", response_model=Listed[Model])
async def list_models(here: Here, caller: Reader) -> Response:
    page = {"items": here.registry.models(), "next_cursor": None}
    return Response(orjson.dumps(page), media_type=JSON_TYPE)
