"""A folder as resources: `python -m tests.mcp_notes FOLDER` is an MCP server, and prints its port."""

import asyncio
import logging
import socket
import sys
from pathlib import Path

import mcp_types as types
import uvicorn
from mcp.server import Server


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

    async def read(_: object, params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
        text = (folder / str(params.uri).removeprefix("note://")).read_text()
        return types.ReadResourceResult(contents=[types.TextResourceContents(uri=params.uri, text=text)])

    app = Server("notes", version="1", on_list_resources=listed, on_read_resource=read).streamable_http_app()
    print(sock.getsockname()[1], flush=True)
    asyncio.run(uvicorn.Server(uvicorn.Config(app, log_level="critical")).serve([sock]))


if __name__ == "__main__":
    main()
