"""Hints between machines: NOTIFY after the commit, LISTEN on another connection, both reopened by themselves.

The notifier is a thread that always sends what is newest: hints that come while one is under way are merged,
so a slow server slows nobody's commit.
"""

import asyncio
import threading
from collections.abc import Mapping
from contextlib import suppress

import psycopg
from sqlalchemy.engine import make_url

from records.hints import LocalHints, Topic
from records.machine_hints import decode, encode
from records.postgresql import CONNECT

CHANNEL = "rhone_hints"
PAYLOAD = 7_900
AGAIN_S = 0.5


class PostgreSQLHints(LocalHints):
    """Listens once started; what this process publishes comes back to it by the shorter way as well."""

    def __init__(self, url: str) -> None:
        super().__init__()
        plain = make_url(url).set(drivername="postgresql")
        self._conninfo = plain.render_as_string(hide_password=False)
        self._pending: dict[Topic, int] = {}
        self._news = threading.Condition()
        self._closed = False
        self._notifier = threading.Thread(target=self._notify, name="records-hints", daemon=True)
        self._listener: asyncio.Task[None] | None = None
        self._listening = asyncio.Event()

    async def start(self) -> None:
        await super().start()
        self._notifier.start()
        self._listener = asyncio.create_task(self._listen())

    async def listening(self) -> None:
        """Until the server sends us what others publish."""
        await self._listening.wait()

    async def close(self) -> None:
        with self._news:
            self._closed = True
            self._news.notify()
        if self._listener is not None:
            self._listener.cancel()
            with suppress(asyncio.CancelledError):
                await self._listener
            await asyncio.to_thread(self._notifier.join)
        await super().close()

    def publish(self, hints: Mapping[Topic, int]) -> None:
        super().publish(hints)
        with self._news:
            self._pending.update(hints)
            self._news.notify()

    def _notify(self) -> None:
        connection: psycopg.Connection | None = None
        while True:
            with self._news:
                while not self._pending and not self._closed:
                    self._news.wait()
                pending, self._pending = self._pending, {}
                if self._closed:
                    break
            try:
                if connection is None:
                    connection = psycopg.connect(self._conninfo, autocommit=True, **CONNECT)
                    # losing a NOTIFY costs a second once, flushing each would cost every hint
                    connection.execute("SET synchronous_commit = off")
                for payload in _payloads(pending):
                    connection.execute("SELECT pg_notify(%s, %s)", (CHANNEL, payload))
            except psycopg.Error:
                connection = None
                with self._news:
                    self._news.wait(AGAIN_S)
        if connection is not None:
            connection.close()

    async def _listen(self) -> None:
        while True:
            try:
                connection = await psycopg.AsyncConnection.connect(self._conninfo, autocommit=True, **CONNECT)
                async with connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._listening.set()
                    async for notification in connection.notifies():
                        self.deliver(decode(notification.payload.encode()))
            except psycopg.Error:
                self._listening.clear()
                await asyncio.sleep(AGAIN_S)


def _payloads(hints: Mapping[Topic, int]) -> list[str]:
    text = encode(hints).decode()
    if len(text) <= PAYLOAD:
        return [text]
    items = list(hints.items())
    half = len(items) // 2
    return [*_payloads(dict(items[:half])), *_payloads(dict(items[half:]))]
