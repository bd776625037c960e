"""Hints between machines: every writer notifies in the round trip of its commit; here we listen."""

import asyncio
from contextlib import suppress

import psycopg
from sqlalchemy.engine import make_url

from records.hints import LocalHints, decode
from records.postgresql import CHANNEL, CONNECT

AGAIN_S = 0.5


class PostgreSQLHints(LocalHints):
    """Listens on a connection of its own, which it opens again whenever it breaks.

    It reads the connection's socket itself: an asynchronous connection would take ten times as long a hint.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._address = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._listener: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()
        self._broken = asyncio.Event()

    async def start(self) -> None:
        await super().start()
        self._listener = asyncio.create_task(self._listen())

    async def listening(self) -> None:
        """Until the server sends us what others say."""
        await self._listening.wait()

    async def close(self) -> None:
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener
        await super().close()

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection = await asyncio.to_thread(self._connect)
            except psycopg.Error:
                await asyncio.sleep(AGAIN_S)
                continue
            self._broken.clear()
            socket = connection.fileno()  # which a lost connection does not tell any more
            loop.add_reader(socket, self._receive, connection)
            self._listening.set()
            try:
                await self._broken.wait()
            finally:
                self._listening.clear()
                loop.remove_reader(socket)
                connection.close()

    def _connect(self) -> "psycopg.Connection[tuple[object, ...]]":
        connection = psycopg.connect(self._address, autocommit=True, **CONNECT)
        connection.execute(f"LISTEN {CHANNEL}")
        return connection

    def _receive(self, connection: "psycopg.Connection[tuple[object, ...]]") -> None:
        try:
            connection.pgconn.consume_input()
            while (notice := connection.pgconn.notifies()) is not None:
                self.deliver(decode(notice.extra))
        except psycopg.Error:
            self._broken.set()
