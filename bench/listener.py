"""A client of event streams that does little but note when each event came."""

import asyncio
import re
import time
from collections.abc import Mapping

FRAME = re.compile(rb"^id: (\d+)\nevent: [^\n]*\ndata: ([^\n]*)\n", re.MULTILINE)


class Listener(asyncio.Protocol):
    """One stream over one connection: each `seq` with its moment, in the order in which they came."""

    def __init__(self, request: bytes) -> None:
        self.came: list[tuple[int, float]] = []
        self.data: list[bytes] = []
        self.over = asyncio.Event()
        self._request = request
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        text = self._rest + data
        whole = text.rfind(b"\n\n") + 2 if b"\n\n" in text else 0
        self._rest = text[whole:]
        for found in FRAME.finditer(text, 0, whole):
            self.came.append((int(found.group(1)), now))
            self.data.append(found.group(2))

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()

    def close(self) -> None:
        self._transport.close()

    @property
    def last(self) -> int:
        return self.came[-1][0] if self.came else 0

    @property
    def gaps(self) -> int:
        """How many events are missing or out of order."""
        seqs = [seq for seq, _ in self.came]
        return sum(after != before + 1 for before, after in zip([0, *seqs], seqs, strict=False))


async def listen(port: int, path: str, headers: Mapping[str, str]) -> Listener:
    told = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    own = "Host: 127.0.0.1\r\nConnection: close\r\nAccept: text/event-stream\r\n"
    request = f"GET {path} HTTP/1.1\r\n{own}{told}\r\n"
    loop = asyncio.get_running_loop()
    _, listener = await loop.create_connection(lambda: Listener(request.encode()), "127.0.0.1", port)
    return listener
