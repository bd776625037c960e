"""An MCP server that has the tools of all suites, and answers each call as AgentDojo's world did."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import product
from typing import Any, get_args

import mcp_types as types
from mcp.server import Server, ServerRequestContext

from providers.mcp.connection import KEY
from tests.injection.attempts import LANES, Attempt, Mode, is_read
from tests.served import listening


@dataclass(frozen=True)
class Performed:
    """A call that reached the world: the effect itself. `key` is the tool execution."""

    key: str
    tool: str
    arguments: dict[str, Any]


@dataclass
class World:
    """`playing` is the attempt of each lane, `performed` what reached the world of each attempt."""

    suites: dict[str, list[dict[str, Any]]]
    playing: dict[int, Attempt] = field(default_factory=dict[int, Attempt])
    performed: dict[str, list[Performed]] = field(default_factory=dict[str, list[Performed]])
    port: int = 0

    def play(self, attempt: Attempt) -> None:
        self.playing[attempt.lane] = attempt
        self.performed[attempt.name] = []

    def answer(self, lane: int, made: Performed) -> str:
        attempt = self.playing[lane]
        self.performed[attempt.name].append(made)
        same = (call for call in attempt.calls if (call.tool, call.arguments) == (made.tool, made.arguments))
        return next((call.result for call in same), "None")

    def tables(self) -> str:
        """The servers as `rhone.toml` declares them, one for each mode, suite and lane, and their labels."""
        tables, labels = list[str](), ["[labels]"]
        for mode, suite, lane in product(get_args(Mode), self.suites, range(LANES)):
            name, query = f"{mode}_{suite}_{lane}", f"suite={suite}&lane={lane}"
            url = f"http://127.0.0.1:{self.port}/mcp?{query}"
            effects = _effects(self.suites[suite])
            tables.append(f'[mcp_servers.{name}]\nurl = "{url}"\nprivate_network = true\n{effects}')
            if mode == "taint":
                labels.append(f'"mcp:{name}" = ["untrusted", "private"]')
        return "\n".join([*tables, *labels])


def _effects(tools: list[dict[str, Any]]) -> str:
    reads = (json.dumps(tool["name"]) for tool in tools if is_read(tool["name"]))
    return "effects = { " + ", ".join(f'{name} = "read_only"' for name in reads) + " }\n"


@asynccontextmanager
async def serving(world: World) -> AsyncGenerator[World]:
    """The world, with a server in front of it."""

    async def list_tools(
        context: ServerRequestContext[Any, Any], _: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        suite = context.request.query_params["suite"]
        return types.ListToolsResult(tools=[types.Tool.model_validate(tool) for tool in world.suites[suite]])

    async def call(
        context: ServerRequestContext[Any, Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        key = str((params.meta or {}).get(KEY))
        made = Performed(key, params.name, params.arguments or {})
        said = world.answer(int(context.request.query_params["lane"]), made)
        return types.CallToolResult(content=[types.TextContent(type="text", text=said)])

    app = Server("dojo", version="1", on_list_tools=list_tools, on_call_tool=call).streamable_http_app()
    async with listening(app) as world.port:
        yield world
