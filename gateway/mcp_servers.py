"""MCP servers as they are served: what is declared, and how each stands."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from gateway.access import Reader
from gateway.answers import Forward, Listed, cut, many, one
from gateway.gateway import Here
from protocol.mcp_account import Holder
from protocol.mcp_server import McpServer
from protocol.noun import Noun
from protocol.principal import Caller
from records.paging import Page

router = APIRouter(tags=["mcp"])


@router.get("/v1/mcp-servers", response_model=Listed[McpServer])
async def list_mcp_servers(here: Here, caller: Reader, page: Annotated[Forward, Query()]) -> Response:
    """Each with how the caller finds it: they are all looked at for this answer."""
    names = cut([_Named(name=name) for name in here.mcp.names], page, lambda named: named.name)
    holder = holder_of(caller)
    found = await asyncio.gather(*(here.mcp.server(holder, named.name) for named in names.items))
    return many(Page(list(found), names.next_cursor))


@router.get("/v1/mcp-servers/{name}", response_model=McpServer)
async def get_mcp_server(here: Here, caller: Reader, name: str) -> Response:
    return one(await here.mcp.server(holder_of(caller), name))


def holder_of(caller: Caller) -> Holder:
    return Holder(tenant=caller.tenant, principal_id=caller.principal_id)


class _Named(Noun):
    name: str
