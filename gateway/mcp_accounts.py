"""Accounts at MCP servers as they are served: each principal connects itself, and nobody else."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Decider
from gateway.answers import one
from gateway.bodies import documented, read_body
from gateway.gateway import Here
from gateway.mcp_servers import holder_of
from protocol.errors import NotFound
from protocol.mcp_server import McpServer
from protocol.noun import Moment, Noun

router = APIRouter(tags=["mcp"])

Text = Annotated[str, Field(min_length=1, max_length=8_000)]


class AuthorizeBody(Noun):
    """Where the browser is sent with the code: a loopback address of the person's machine, or a declared
    one."""

    redirect_uri: Text


class McpAuthorization(Noun):
    """The address that the person opens, good until `expires_at`."""

    authorization_url: str
    expires_at: Moment


class CallbackBody(Noun):
    """What the browser brought to the redirect address: a `code`, or the `error` that stands for a no."""

    state: Text
    code: Text | None = None
    iss: Text | None = None
    error: Text | None = None

    @model_validator(mode="after")
    def _fits(self) -> "CallbackBody":
        if (self.code is None) == (self.error is None):
            raise ValueError("`code` or `error`, one of them")
        return self


class Disconnected(Noun):
    """`revoked`: whether the issuer took the tokens back as well."""

    name: str
    revoked: bool


@router.post(
    "/v1/mcp-servers/{name}:authorize",
    response_model=McpAuthorization,
    openapi_extra=documented("AuthorizeBody"),
)
async def authorize(request: Request, here: Here, caller: Decider, name: str) -> Response:
    """Begin to connect the caller: each request begins anew."""
    asked = (await read_body(request)).parse(AuthorizeBody)
    begun = await here.mcp.accounts.authorize(holder_of(caller), name, asked.redirect_uri)
    return one(McpAuthorization(authorization_url=begun.url, expires_at=begun.expires_at))


@router.post(
    "/v1/mcp-servers/{name}:callback", response_model=McpServer, openapi_extra=documented("CallbackBody")
)
async def callback(request: Request, here: Here, caller: Decider, name: str) -> Response:
    """Finish with what the browser brought. A state is good once, for the principal who began it."""
    told, holder = (await read_body(request)).parse(CallbackBody), holder_of(caller)
    if told.code is None:
        await here.mcp.accounts.refused(holder, name, told.state)
    else:
        await here.mcp.accounts.finish(holder, name, told.state, told.code, told.iss)
    return one(await here.mcp.server(holder, name))


@router.post("/v1/mcp-servers/{name}:disconnect", response_model=Disconnected)
async def disconnect(here: Here, caller: Decider, name: str) -> Response:
    """Forget the caller's account; its tokens are given back to the issuer where that takes them."""
    revoked = await here.mcp.accounts.disconnect(holder_of(caller), name)
    if revoked is None:
        raise NotFound("mcp.not_connected", f"you are not connected to the MCP server {name[:200]!r}")
    return one(Disconnected(name=name, revoked=revoked))
