"""The server of one gateway process: it listens, and says goodbye before it goes."""

import asyncio
import contextvars
import socket
from types import FrameType

import uvicorn
from starlette.types import ASGIApp

from gateway.feed import Feed
from gateway.room import Room
from gateway.settings import Settings
from records.logs import logger

BACKLOG = 2048
KEEP_ALIVE_S = 30


def listen(host: str, port: int) -> socket.socket:
    """Port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    # Inherited by what is accepted: else an answer waits 40 ms for the client's acknowledgement of its head.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class Server(uvicorn.Server):
    """On a signal it first drains: new requests are told to go elsewhere, streams end where they are."""

    def __init__(self, app: ASGIApp, room: Room, feed: Feed, settings: Settings) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            lifespan="off",
            ws="none",
            timeout_keep_alive=KEEP_ALIVE_S,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)
        self._room = room
        self._feed = feed
        self._settings = settings
        self._loop = asyncio.get_running_loop()
        self._context = contextvars.copy_context()
        self._draining: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._loop.call_soon_threadsafe(self.stop, context=self._context)

    def stop(self) -> None:
        """Begin to drain; a second word ends it at once."""
        if self._draining is not None:
            self.should_exit = self.force_exit = True
            return
        self._draining = asyncio.create_task(self._drain())

    async def _drain(self) -> None:
        logger("gateway").info("draining")
        self._room.drained.set()
        self._feed.close()
        await asyncio.sleep(self._settings.drain_notice_s)
        try:
            async with asyncio.timeout(self._settings.drain_s):
                await self._room.emptied()
        except TimeoutError:
            logger("gateway").warning("requests were still being answered")
        self.should_exit = True
