"""A keeper behind the contract of docs/memory.md, for tests: it hands each verb to a store of ours."""

import json
from typing import Any

from pydantic_core import to_jsonable_python
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from protocol.memory import MemoryDraft, MemoryPlace, MemoryStore, Removal

KEY = "memory-key-1"


def memory_server(store: MemoryStore) -> Starlette:
    async def answer(request: Request) -> JSONResponse:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return JSONResponse({}, 401)
        body: dict[str, Any] = json.loads(await request.body())
        place = MemoryPlace.model_validate(body["place"])
        match request.path_params["verb"]:
            case "search":
                told: Any = await store.search(place, body["query"], body["limit"], body["cursor"])
            case "read":
                told = await store.read(place, body["key"])
            case "write":
                told = await store.write(place, MemoryDraft.model_validate(body["draft"]))
            case "delete":
                told = await store.delete(place, Removal.model_validate(body["removal"]))
            case _:
                return JSONResponse({}, 404)
        return JSONResponse(to_jsonable_python(told))

    return Starlette(routes=[Route("/{verb}", answer, methods=["POST"])])
