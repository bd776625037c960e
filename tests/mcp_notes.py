"""A folder as resources: `python -m tests.mcp_notes FOLDER` is an MCP server, and prints its port. Before it
gives one with `locked` in its name it asks who you are."""

import asyncio
import logging
import socket
import sys
from pathlib import Path
from typing import Any

import mcp_types as types
import uvicorn
from mcp.server import Server, ServerRequestContext

from tests.mcp_server import WHO


def main() -> None:
    logging.disable(logging.CRITICAL)
    folder = Path(sys.argv[1])
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    sock.listen(16)

    async def listed(*_: object) -> types.ListResourcesResult:
        names = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
        return types.ListResourcesResult(
            resources=[types.Resource(uri=f"note://{name}", name=name) for name in names]
        )

    async def read(
        context: ServerRequestContext[Any], params: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult | types.InputRequiredResult:
        if "locked" in str(params.uri):
            if context.protocol_version < "2026":
                await context.session.elicit_form("Who are you?", WHO, context.request_id)
            form = types.ElicitRequestFormParams(message="Who are you?", requested_schema=WHO)
            return types.InputRequiredResult(input_requests={"who": types.ElicitRequest(params=form)})
        text = (folder / str(params.uri).removeprefix("note://")).read_text()
        return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text=text)])

    app = Server("notes", version="1", on_list_resources=listed, on_read_resource=read).streamable_http_app()
    print(sock.getsockname()[1], flush=True)
    asyncio.run(uvicorn.Server(uvicorn.Config(app, log_level="critical")).serve([sock]))


if __name__ == "__main__":
    main()
