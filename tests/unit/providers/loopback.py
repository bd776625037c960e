"""A backend on the loopback that answers with exact bytes and keeps what it was asked."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

End = Literal["close", "cut", "reset", "hang", "whole"]


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)


class Backend:
    """Answers every request with the same bytes.

    `end`: `close` lets the connection's end be the body's; `whole` sends a length; `cut` and `hang` leave a
    chunked body unfinished, the one closing, the other silent; `reset` breaks the connection.
    """

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.connections = 0
        self.left = asyncio.Event()
        self.hanging = asyncio.Event()
        self._server: asyncio.Server | None = None
        self.answer(b"")

    def answer(
        self,
        *pieces: bytes,
        status: str = "200 OK",
        headers: Sequence[tuple[str, str]] = (("content-type", "text/event-stream"),),
        end: End = "close",
        silent: bool = False,
    ) -> None:
        self._pieces, self._status, self._headers = pieces, status, headers
        self._end, self._silent = end, silent

    async def start(self) -> "Backend":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            self.left.set()
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection serves on."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])
        }
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        self.asked.append(Asked(head[0].split(" ")[1], headers, raw))
        if not self._silent:
            await self._reply(writer)
        if self._end == "hang" or self._silent:
            self.hanging.set()
            await reader.read()
            self.left.set()
        elif self._end == "reset":
            writer.transport.abort()
        return self._end == "whole"

    async def _reply(self, writer: asyncio.StreamWriter) -> None:
        chunked = self._end not in ("close", "whole")
        lines = [f"HTTP/1.1 {self._status}", *(f"{name}: {value}" for name, value in self._headers)]
        if chunked:
            lines.append("transfer-encoding: chunked")
        elif self._end == "whole":
            lines.append(f"content-length: {sum(map(len, self._pieces))}")
        else:
            lines.append("connection: close")
        writer.write("\r\n".join([*lines, "", ""]).encode())
        for piece in self._pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await writer.drain()
