"""The declared servers, and the connections that this process has to them: one for each run.

The protocol's package is slow to load, so it is loaded where a server is declared, and nowhere else.
"""

import asyncio
import importlib
import logging
import secrets
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from protocol.errors import Refused
from protocol.ids import RunId
from protocol.mcp import NOT_APPROVED, McpServerEntry, StdioEntry
from protocol.secret import SecretRef

if TYPE_CHECKING:
    from providers.mcp.bearing import Bearers
    from providers.mcp.connection import Connection
    from providers.mcp.wires import Program, Wired

    Launch = Callable[[RunId, str, StdioEntry], Awaitable[Program]]

IDLE_SECONDS = 300.0
MOST_OPEN = 128


class Servers:
    """A connection is of one run: what a server remembers of one is never shown to another."""

    def __init__(
        self,
        entries: Mapping[str, McpServerEntry],
        secret: Callable[[SecretRef], str],
        launch: "Launch | None" = None,
        bearers: "Bearers | None" = None,
    ) -> None:
        self._entries = entries
        self._secret = secret
        self._launch = launch or launch_nothing
        self._bearers = bearers or NoAccounts()
        self.holder = secrets.token_hex(8)
        """Who has the sessions of this process."""
        self._open: dict[tuple[RunId, str], Connection] = {}
        if entries:
            importlib.import_module("providers.mcp.connection")
        self._opening = asyncio.Lock()
        logging.getLogger("mcp").setLevel(logging.CRITICAL)  # it logs what servers send

    @property
    def declared(self) -> bool:
        """Whether there is any server."""
        return bool(self._entries)

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
                found = self._open[key] = Connection(name, entry, self._wired(run_id, name, entry))
        await found.opened()
        return found

    @property
    def sessions(self) -> tuple[tuple[RunId, str], ...]:
        """Whose they are: a run's, with a server."""
        return tuple(self._open)

    @property
    def parked(self) -> tuple[tuple[RunId, str, str], ...]:
        """The calls that wait in sessions of this process for an answer: run, server and key."""
        return tuple((*owner, key) for owner, one in self._open.items() for key in one.parked)

    async def drop(self, run_id: RunId, name: str, key: str) -> None:
        """Nobody waits for the call any more."""
        connection = self._open.get((run_id, name))
        if connection is not None:
            await connection.drop(key)

    async def end(self, run_id: RunId, name: str) -> None:
        """The run is over, or may not have the server any more."""
        connection = self._open.pop((run_id, name), None)
        if connection is not None:
            await connection.close()

    async def tidy(self) -> None:
        """End what has been idle for long: a program that nobody uses takes a box."""
        async with self._opening:
            await self._make_room()

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

    def _wired(self, run_id: RunId, name: str, entry: McpServerEntry) -> "Wired":
        from providers.mcp.bearing import Bearing
        from providers.mcp.wires import over_http, over_stdio

        if entry.stdio is not None:
            return over_stdio(partial(self._launch, run_id, name, entry.stdio))
        return over_http(entry, self._secret, lambda wire: Bearing(wire, self._bearers, run_id, name))


async def launch_nothing(run_id: RunId, name: str, entry: StdioEntry) -> "Program":
    """Where there is no engine for boxes, no program is started."""
    raise Refused(NOT_APPROVED, f"the MCP server {name!r} is a program, and none is started here")


class NoAccounts:
    """Where nobody has an account anywhere."""

    async def token(self, run_id: RunId, server: str, stale: str | None = None) -> str:
        raise Refused("mcp.not_connected", f"nobody is connected to the MCP server {server!r} here")

    async def want(self, run_id: RunId, server: str, scope: str) -> str:
        return f"it asks for {scope!r}, which nobody has agreed to"
