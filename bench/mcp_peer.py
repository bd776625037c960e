"""An MCP server of the official package with one tool that echoes: `python -m bench.mcp_peer PORT`."""

import logging
import sys
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server import Server, ServerRequestContext

ECHO = types.Tool(
    name="echo",
    description="Says what it is told.",
    input_schema={"type": "object", "properties": {"note": {"type": "string"}}, "required": ["note"]},
)


async def tools(_: ServerRequestContext[Any], __: object) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[ECHO])


async def call(_: ServerRequestContext[Any], asked: types.CallToolRequestParams) -> types.CallToolResult:
    said = str((asked.arguments or {})["note"])
    return types.CallToolResult(content=[types.TextContent(type="text", text=said)])


def main() -> None:
    logging.disable(logging.CRITICAL)
    app = Server("peer", version="1", on_list_tools=tools, on_call_tool=call).streamable_http_app()
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="critical")


if __name__ == "__main__":
    main()
