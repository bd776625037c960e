"""An MCP server of the official package over streamable HTTP, whose tools a test can change and count.

`python -m tests.mcp_server FOLDER` prints its port. What it lists is `FOLDER/tools.json`, read at each
request; each call is a line of `FOLDER/calls.jsonl`.
"""

import asyncio
import json
import logging
import socket
import sys
from pathlib import Path
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server import Server, ServerRequestContext

ADD: dict[str, Any] = {
    "name": "add",
    "title": "Add",
    "description": "Adds two numbers.",
    "inputSchema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
    "annotations": {"readOnlyHint": True},
}


ASK: dict[str, Any] = {"name": "ask", "description": "Asks who it is.", "inputSchema": {"type": "object"}}
WHO: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


NOTE: dict[str, Any] = {"uri": "note://one", "name": "one", "description": "The first note."}
GREET: dict[str, Any] = {
    "name": "greet",
    "description": "Greets somebody.",
    "arguments": [{"name": "who", "description": "Whom.", "required": True}],
}


def text(said: str, **fields: Any) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=said)], **fields)


async def ask(
    context: ServerRequestContext[Any], params: types.CallToolRequestParams
) -> types.CallToolResult | types.InputRequiredResult:
    """At 2026-07-28 in two calls, the second with the state of the first; before within one."""
    if context.protocol_version < "2026":
        told = await context.session.elicit_form("Who are you?", WHO, context.request_id)
        return text(told.model_dump_json(include={"action", "content"}))
    if params.request_state is None:
        form = types.ElicitRequestFormParams(message="Who are you?", requested_schema=WHO)
        asked: types.InputRequests = {"who": types.ElicitRequest(params=form)}
        return types.InputRequiredResult(input_requests=asked, request_state="the first")
    answers = {key: one.model_dump(mode="json") for key, one in (params.input_responses or {}).items()}
    told = {"action": answers["who"]["action"], "content": answers["who"]["content"]}
    return text(f"{params.request_state}: {json.dumps(told)}")


def serve(folder: Path) -> Server[Any]:
    def listed() -> list[types.Tool]:
        return [types.Tool.model_validate(tool) for tool in json.loads((folder / "tools.json").read_text())]

    async def list_tools(
        _: ServerRequestContext[Any], __: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed())

    async def call(
        context: ServerRequestContext[Any], params: types.CallToolRequestParams
    ) -> types.CallToolResult | types.InputRequiredResult:
        arguments = params.arguments or {}
        line = {"tool": params.name, "arguments": arguments, "meta": dict(params.meta or {})}
        with (folder / "calls.jsonl").open("a") as file:
            file.write(json.dumps(line, default=str) + "\n")
        match params.name:
            case "add":
                total = arguments["a"] + arguments["b"]
                return text(str(total), structured_content={"total": total})
            case "fail":
                return text("it went wrong", is_error=True)
            case "shape":
                return types.CallToolResult(content=[], structured_content={"shape": [1, 2]})
            case "ask":
                return await ask(context, params)
            case "go_there":
                there = types.ElicitRequestURLParams(message="Go.", url="https://a.test/", elicitation_id="1")
                return types.InputRequiredResult(input_requests={"there": types.ElicitRequest(params=there)})
            case "slow":
                await asyncio.sleep(30)
                return text("late")
            case _:
                return text(f"{params.name} was called")

    async def list_resources(*_: object) -> types.ListResourcesResult:
        return types.ListResourcesResult(resources=[types.Resource.model_validate(NOTE)])

    async def read(_: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        words = types.TextResourceContents(uri=params.uri, text="Buy milk.")
        return types.ReadResourceResult(contents=[words])

    async def list_prompts(*_: object) -> types.ListPromptsResult:
        return types.ListPromptsResult(prompts=[types.Prompt.model_validate(GREET)])

    async def get(_: object, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        said = types.TextContent(type="text", text=f"Greet {(params.arguments or {})['who']}.")
        return types.GetPromptResult(messages=[types.PromptMessage(role="user", content=said)])

    return Server(
        "tests",
        version="1",
        on_list_tools=list_tools,
        on_call_tool=call,
        on_list_resources=list_resources,
        on_read_resource=read,
        on_list_prompts=list_prompts,
        on_get_prompt=get,
    )


def main() -> None:
    logging.disable(logging.CRITICAL)
    folder = Path(sys.argv[1])
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(128)
    app = serve(folder).streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
    print(sock.getsockname()[1], flush=True)
    asyncio.run(server.serve([sock]))


if __name__ == "__main__":
    main()
