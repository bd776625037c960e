"""A world that echoes: whoever is asked tells, in every answer, the headers that the question came with."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import mcp_types as types
from mcp.server import Server, ServerRequestContext
from mcp.shared.exceptions import MCPError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.served import listening

SAY: dict[str, Any] = {"description": "Says it.", "inputSchema": {"type": "object"}}


@dataclass
class Echoes:
    """`port` answers as model, search service, memory and forge, `mcp_port` as MCP server. `traces` are the
    spans that were sent here, `told` what webhooks got."""

    port: int = 0
    mcp_port: int = 0
    traces: list[bytes] = field(default_factory=list[bytes])
    told: list[bytes] = field(default_factory=list[bytes])
    asked: set[str] = field(default_factory=set[str])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def mcp_url(self) -> str:
        return f"http://127.0.0.1:{self.mcp_port}/mcp"

    def echo(self, request: Request) -> str:
        self.asked.add(request.headers.get("authorization") or "")
        return json.dumps(dict(request.headers))


@asynccontextmanager
async def echoing() -> AsyncGenerator[Echoes]:
    world = Echoes()
    async with listening(_web(world)) as world.port, listening(_mcp(world)) as world.mcp_port:
        yield world


def _web(world: Echoes) -> Starlette:
    async def model(request: Request) -> Response:
        """Makes the calls that stand in the session's first input, then says the headers."""
        body = await request.json()
        if body["model"] == "refuses":
            return JSONResponse({"error": {"message": world.echo(request), "code": "no"}}, 401)
        asked = next(one for one in body["messages"] if one["role"] == "user")["content"]
        wanted: list[dict[str, Any]] = json.loads(asked if isinstance(asked, str) else asked[0]["text"])
        made = sum(one["role"] == "tool" for one in body["messages"])
        message: dict[str, Any] = {"role": "assistant", "content": world.echo(request)}
        finish = "stop"
        if made < len(wanted):
            one = wanted[made]
            function = {"name": one["name"], "arguments": json.dumps(one.get("arguments", {}))}
            message["tool_calls"] = [{"id": f"call_{made}", "type": "function", "function": function}]
            finish = "tool_calls"
        choice = {"index": 0, "message": message, "finish_reason": finish}
        return JSONResponse({"id": "c", "object": "chat.completion", "model": "m", "choices": [choice]})

    async def search(request: Request) -> Response:
        said = world.echo(request)
        hit = {"title": said, "url": f"http://host.example/?q={said}", "content": said}
        return JSONResponse({"results": [hit]})

    async def traces(request: Request) -> Response:
        world.traces.append(await request.body())
        return Response(b"")

    async def hook(request: Request) -> Response:
        world.told.append(await request.body() + json.dumps(dict(request.headers)).encode())
        return Response(b"", 204)

    async def anything(request: Request) -> Response:
        """Memory and forge: a no, and why."""
        headers = {"www-authenticate": 'Basic realm="x"', "x-request-id": "echo"}
        return Response(world.echo(request), 401, headers, media_type="text/plain")

    return Starlette(
        routes=[
            Route("/v1/chat/completions", model, methods=["POST"]),
            Route("/search", search, methods=["POST"]),
            Route("/v1/traces", traces, methods=["POST"]),
            Route("/hook", hook, methods=["POST"]),
            Route("/{rest:path}", anything, methods=["GET", "POST"]),
        ]
    )


def _mcp(world: Echoes) -> Any:
    """`?how=definition` tells it in the tool's description, `?how=error` in an error, else in the result.
    Its one tool is named `say_<how>`: two of one name on two servers would be asked about."""

    async def list_tools(
        context: ServerRequestContext[Any, Any], _: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        said = world.echo(context.request)
        how = context.request.query_params["how"]
        tool = SAY | {"name": f"say_{how}"} | ({"description": said} if how == "definition" else {})
        return types.ListToolsResult(tools=[types.Tool.model_validate(tool)])

    async def call(
        context: ServerRequestContext[Any, Any], _: types.CallToolRequestParams
    ) -> types.CallToolResult:
        said = world.echo(context.request)
        if context.request.query_params["how"] == "error":
            raise MCPError(types.INTERNAL_ERROR, said)
        await asyncio.sleep(0)
        return types.CallToolResult(content=[types.TextContent(type="text", text=said)])

    return Server("echo", version="1", on_list_tools=list_tools, on_call_tool=call).streamable_http_app()
