"""MCP servers as they are served: what is declared, how each stands, and the agreement to start a program."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from capabilities.mcp_launch import in_words, launch_digest, permission
from gateway.access import Admin, Reader
from gateway.answers import Forward, Listed, cut, many, one
from gateway.bodies import documented, read_body
from gateway.gateway import Here
from gateway.idempotency import Made, scope_of
from protocol.errors import Conflict, InvalidRequest, NotFound
from protocol.mcp import StdioEntry
from protocol.mcp_account import Holder
from protocol.mcp_server import McpServer
from protocol.noun import Noun
from protocol.principal import Caller
from protocol.standing import StandingGrant
from records import standing
from records.paging import Page
from records.tx import Tx

router = APIRouter(tags=["mcp"])


class LaunchBody(Noun):
    """`launch_digest` is that of the start that was shown, so that nothing else is approved."""

    launch_digest: str
    expires_in_s: Annotated[int, Field(ge=1, le=366 * 24 * 3600)] | None = None


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


@router.post(
    "/v1/mcp-servers/{name}:approve",
    status_code=201,
    response_model=StandingGrant,
    openapi_extra=documented("LaunchBody"),
)
async def approve_launch(request: Request, here: Here, caller: Admin, name: str) -> Response:
    """Allow a program to be started in this project's runs, exactly as it is declared. The permission is
    listed and revoked under `/v1/grants`."""
    body = await read_body(request)
    asked, entry = body.parse(LaunchBody), _program(here, name)
    if asked.launch_digest != launch_digest(name, entry):
        message = "launch_digest: another start is declared now; look at it again"
        raise Conflict("mcp.launch_changed", message, param="launch_digest")

    def unit(tx: Tx) -> Made[StandingGrant]:
        made = standing.draft(tx, entry.command, None, caller.principal_id, asked.expires_in_s)
        told = {"tool": permission(name, entry), "words": in_words(name, entry)}
        return Made(made.id, standing.add(tx, caller.tenant, made.model_copy(update=told)), 201)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    kept = done.value or await here.database.read(lambda c: standing.get(c, caller.tenant, done.resource_id))
    if kept is None:
        raise NotFound("grant.not_found", f"there is no standing permission {done.resource_id!r}")
    return one(kept, done.status, done.headers)


def holder_of(caller: Caller) -> Holder:
    return Holder(tenant=caller.tenant, principal_id=caller.principal_id)


def _program(here: Here, name: str) -> StdioEntry:
    entry = here.mcp.entry(name)
    if entry.stdio is None:
        raise InvalidRequest("mcp.no_program", f"the MCP server {name!r} is no program", param="name")
    return entry.stdio


class _Named(Noun):
    name: str
