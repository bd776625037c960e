"""The declared servers, and the connections that this process has to them: one for each run.

The protocol's package is slow to load, so it is loaded where a server is declared, and nowhere else.
"""

import asyncio
import importlib
import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import httpx2

from protocol.errors import Refused
from protocol.ids import RunId
from protocol.mcp import McpServerEntry
from protocol.secret import SecretRef
from providers.mcp.guarded import CONNECT_SECONDS, Guarded

if TYPE_CHECKING:
    from providers.mcp.bearing import Bearers
    from providers.mcp.connection import Connection

IDLE_SECONDS = 120.0
MOST_OPEN = 128


class Servers:
    """A connection is of one run: what a server remembers of one is never shown to another."""

    def __init__(
        self,
        entries: Mapping[str, McpServerEntry],
        secret: Callable[[SecretRef], str],
        bearers: "Bearers | None" = None,
    ) -> None:
        self._entries = entries
        self._secret = secret
        self._bearers = bearers or NoAccounts()
        self._open: dict[tuple[RunId, str], Connection] = {}
        if entries:
            importlib.import_module("providers.mcp.connection")
        self._opening = asyncio.Lock()
        logging.getLogger("mcp").setLevel(logging.CRITICAL)  # it logs what servers send

    def entry(self, name: str) -> McpServerEntry:
        found = self._entries.get(name)
        if found is None:
            raise Refused("mcp.unknown_server", f"there is no MCP server {name!r}")
        return found

    async def connection(self, run_id: RunId, name: str) -> "Connection":
        """The run's session with a server, opened where there is none. Raises Unavailable, and Refused where
        the server is called with accounts and the run's principal has none."""
        from providers.mcp.connection import Connection

        entry, key = self.entry(name), (run_id, name)
        if entry.account is not None:
            await self._bearers.token(run_id, name)
        async with self._opening:
            await self._make_room()
            found = self._open.get(key)
            if found is None or not found.alive:
                found = self._open[key] = Connection(name, entry, self._client(run_id, name, entry))
        await found.opened()
        return found

    async def close(self) -> None:
        await asyncio.gather(*(connection.close() for connection in self._open.values()))
        self._open.clear()

    async def _make_room(self) -> None:
        by_age = sorted(self._open.items(), key=lambda item: item[1].idle_seconds, reverse=True)
        spare = len(by_age) - MOST_OPEN
        for place, (key, connection) in enumerate(by_age):
            idle = connection.idle_seconds
            if not connection.alive or idle > IDLE_SECONDS or (place < spare and idle > 0):
                await self._open.pop(key).close()

    def _client(self, run_id: RunId, name: str, entry: McpServerEntry) -> httpx2.AsyncClient:
        """Bearer and tokens go to the declared origins alone; with an issuer there is metadata elsewhere."""
        from providers.mcp.bearing import Bearing
        from providers.mcp.tokens import credentials

        oauth = entry.oauth
        declared = [entry.url, *([oauth.issuer] if oauth else [])]
        guarded = Guarded(declared, private=entry.private_network, others=oauth is not None)
        return httpx2.AsyncClient(
            transport=Bearing(guarded, self._bearers, run_id, name) if entry.account else guarded,
            headers={"authorization": f"Bearer {self._secret(entry.auth)}"} if entry.auth else {},
            auth=credentials(entry.url, oauth, self._secret) if oauth else None,
            timeout=httpx2.Timeout(CONNECT_SECONDS, read=entry.timeout_ms / 1000),
            trust_env=False,
        )


class NoAccounts:
    """Where nobody has an account anywhere."""

    async def token(self, run_id: RunId, server: str, stale: str | None = None) -> str:
        raise Refused("mcp.not_connected", f"nobody is connected to the MCP server {server!r} here")

    async def want(self, run_id: RunId, server: str, scope: str) -> str:
        return f"it asks for {scope!r}, which nobody has agreed to"
