"""A server outside: under many names, with TLS and without, it answers everything and remembers what came."""

import asyncio
import ssl
from pathlib import Path
from typing import Any, NamedTuple, Self

import h11

from worker.egress.authority import Authority
from worker.egress.streams import Plain, Wire

CANARY = b"CANARY"


class Came(NamedTuple):
    """One request as the server saw it."""

    host: str
    method: str
    target: str
    headers: dict[str, str]
    body: bytes


class Upstream:
    """`/echo` gives back the headers, `/away` leads inward, all else is the canary."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "outside.pem"
        self._authority = Authority.kept_in(folder / "outside-key.pem", "outside")
        self.ca.write_bytes(self._authority.pem)
        self.came: list[Came] = []
        self.hung_up = asyncio.Event()
        self._servers: list[asyncio.Server] = []

    async def __aenter__(self) -> Self:
        context = self._authority.context("outside.test")
        context.sni_callback = self._named
        self._servers = [
            await asyncio.start_server(self._serve, "0.0.0.0", 0, ssl=context),
            await asyncio.start_server(self._serve, "127.0.0.1", 0),
        ]
        self.port, self.plain_port = (one.sockets[0].getsockname()[1] for one in self._servers)
        return self

    async def __aexit__(self, *_: object) -> None:
        for server in self._servers:
            server.close()

    def of(self, target: str) -> list[Came]:
        return [one for one in self.came if one.target == target]

    def _named(self, side: Any, name: str | None, _: ssl.SSLContext) -> None:
        if name:
            side.context = self._authority.context(name)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        wire = Wire(Plain(reader, writer), h11.SERVER)
        try:
            while isinstance(request := await wire.next(), h11.Request):
                body = b""
                while isinstance(event := await wire.next(), h11.Data):
                    body += bytes(event.data)
                assert isinstance(event, h11.EndOfMessage)
                headers = {name.decode(): value.decode() for name, value in request.headers}
                target = request.target.decode()
                self.came.append(
                    Came(headers.get("host", ""), request.method.decode(), target, headers, body)
                )
                await self._answer(wire, target, headers)
                if target == "/last":
                    return
                if not wire.again():
                    return
        except (OSError, h11.ProtocolError):
            return
        finally:
            writer.close()
            self.hung_up.set()

    async def _answer(self, wire: Wire, target: str, headers: dict[str, str]) -> None:
        status, more, body = 200, [], CANARY
        if target.startswith("/echo"):
            body = "\n".join(headers.values()).encode()
            more = [("X-Seen", headers.get("authorization", "nothing"))]
        if target.startswith("/away"):
            status, more = 302, [("Location", "http://169.254.169.254/latest/meta-data")]
        framed = [*more, ("Content-Length", str(len(body)))]
        answer = [h11.Response(status_code=status, headers=framed), h11.Data(data=body), h11.EndOfMessage()]
        await wire.say(*answer)
