"""A TLS server that says hello to every request: `python -m bench.egress_peer PORT FOLDER`."""

import asyncio
import sys
from pathlib import Path

from worker.egress.authority import Authority

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


async def serve(port: int, folder: Path) -> None:
    context = Authority.kept_in(folder / "outside.key", "outside").context("localhost")
    async with (
        await asyncio.start_unix_server(_welcome, folder / "direct", ssl=context),
        await asyncio.start_server(_welcome, "127.0.0.1", port, ssl=context) as server,
    ):
        (folder / "direct").chmod(0o666)
        await server.serve_forever()


async def _welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(ANSWER)
    except (OSError, asyncio.IncompleteReadError):
        writer.close()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
