"""Byte streams of the proxy: plain, and with TLS that ends here; and HTTP/1.1 spoken over them."""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol, TypeVar

import h11

PIECE = 64 * 1024
IDLE_SECONDS = 300.0
_LONGEST_HEAD = 64 * 1024
_T = TypeVar("_T")


class Stream(Protocol):
    async def read(self) -> bytes:
        """What has come; nothing at the end."""
        ...

    async def write(self, data: bytes) -> None: ...

    def close(self) -> None: ...


class Plain:
    """A connection as the system has it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        async with asyncio.timeout(IDLE_SECONDS):
            return await self._reader.read(PIECE)

    async def write(self, data: bytes) -> None:
        self._writer.write(data)
        async with asyncio.timeout(IDLE_SECONDS):
            await self._writer.drain()

    def end(self) -> None:
        """Nothing more is written, and the other side may still speak."""
        with suppress(OSError):
            self._writer.write_eof()

    def close(self) -> None:
        self._writer.close()


class Tls:
    """The server's side of TLS over another stream, from a greeting on that was read already."""

    def __init__(self, under: Stream, context: ssl.SSLContext, greeting: bytes) -> None:
        self._under = under
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._side = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._incoming.write(greeting)

    async def shake_hands(self) -> None:
        await self._pumped(self._side.do_handshake)

    async def read(self) -> bytes:
        try:
            return await self._pumped(lambda: self._side.read(PIECE))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    async def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._side.write(view) :]
        await self._flush()

    def close(self) -> None:
        self._under.close()

    async def _pumped(self, step: Callable[[], _T]) -> _T:
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._under.read()
                if data:
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                await self._flush()
                return done

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._under.write(self._outgoing.read())


class Wire:
    """One side of HTTP/1.1 over a stream. What it says is always framed anew, so nothing is smuggled."""

    def __init__(self, stream: Stream, role: type[h11.CLIENT] | type[h11.SERVER]) -> None:
        self.stream = stream
        self._state = h11.Connection(role, max_incomplete_event_size=_LONGEST_HEAD)

    async def next(self) -> Any:
        """The next event; raises h11.RemoteProtocolError for what is no HTTP."""
        while True:
            event = self._state.next_event()
            if event is not h11.NEED_DATA:
                return event
            self._state.receive_data(await self.stream.read())

    async def say(self, *events: h11.Event) -> None:
        data = b"".join(self._state.send(event) or b"" for event in events)
        if data:
            await self.stream.write(data)

    @property
    def expects_word(self) -> bool:
        return self._state.they_are_waiting_for_100_continue

    @property
    def sent_ahead(self) -> bytes:
        """What came after the message that was read."""
        return self._state.trailing_data[0]

    def again(self) -> bool:
        """Begins the next exchange; false where this connection has had its last."""
        if self._state.our_state is not h11.DONE or self._state.their_state is not h11.DONE:
            return False
        self._state.start_next_cycle()
        return True
