"""The declared MCP servers as a principal finds them, each looked at in a session that ends with the look."""

import asyncio
import importlib
from collections.abc import Callable, Mapping

from capabilities.mcp import raw_digest
from capabilities.mcp_launch import in_words, launch_digest, permission
from protocol.errors import Fault, NotFound
from protocol.ids import RunId, fresh
from protocol.mcp import Listed, McpServerEntry, StdioEntry
from protocol.mcp_account import Connected, Holder
from protocol.mcp_server import Access, McpDefinition, McpServer, McpState
from protocol.secret import SecretRef
from providers.mcp.accounts import Accounts
from providers.mcp.servers import Servers
from records.database import Database
from records.standing import holding

LOOK_SECONDS = 8.0
LOOKS = 8
"""At so many servers this gateway looks at once."""


class McpDesk:
    """`accounts` begins, finishes and ends what principals agree to."""

    def __init__(
        self,
        database: Database,
        entries: Mapping[str, McpServerEntry],
        secret: Callable[[SecretRef], str],
        accounts: Accounts,
    ) -> None:
        self.accounts = accounts
        self._database = database
        self._entries = entries
        self._secret = secret
        self._looks = asyncio.Semaphore(LOOKS)
        if entries:  # slow to load, so not under somebody's request
            importlib.import_module("providers.mcp.connection")

    @property
    def names(self) -> list[str]:
        return sorted(self._entries)

    def entry(self, name: str) -> McpServerEntry:
        """Raises NotFound."""
        found = self._entries.get(name)
        if found is None:
            raise NotFound("mcp.server_not_found", f"there is no MCP server {name[:200]!r}")
        return found

    async def server(self, holder: Holder, name: str) -> McpServer:
        """Raises NotFound."""
        entry = self.entry(name)
        if entry.stdio is not None:
            return await self._program(holder, name, entry.stdio)
        account = await self.accounts.connected(holder, name) if entry.account else None
        return McpServer(
            name=name,
            transport="streamable-http",
            url=entry.url,
            access=_access(entry),
            account=account,
            state=await self._state(holder, name, entry, account),
        )

    async def _program(self, holder: Holder, name: str, entry: StdioEntry) -> McpServer:
        of = permission(name, entry)
        agreed = await self._database.read(lambda c: holding(c, holder.tenant, holder.principal_id, of))
        return McpServer(
            name=name,
            transport="stdio",
            url=None,
            access="none",
            launch_digest=launch_digest(name, entry),
            words=in_words(name, entry),
            approved_by=agreed[0].made_by if agreed else None,
            state=McpState(reachable=None, reason="a program is started in runs only"),
        )

    async def _state(
        self, holder: Holder, name: str, entry: McpServerEntry, account: Connected | None
    ) -> McpState:
        if entry.account is not None and account is None:
            return McpState(reachable=None, reason="not connected, so nobody looked")
        servers = Servers({name: entry}, self._secret, bearers=_Bearers(self.accounts, holder))
        try:
            async with asyncio.timeout(LOOK_SECONDS), self._looks:
                return await _looked(servers, name, entry)
        except Fault as fault:
            return McpState(reachable=False, reason=fault.message)
        except TimeoutError:
            return McpState(reachable=False, reason=f"no answer within {LOOK_SECONDS:g} s")
        finally:
            await servers.close()


async def _looked(servers: Servers, name: str, entry: McpServerEntry) -> McpState:
    connection = await servers.connection(RunId(fresh("run_")), name)

    async def listed(kind: Listed) -> tuple[McpDefinition, ...]:
        by_default = "unknown" if kind == "tools" else "read_only"
        return tuple(
            McpDefinition(name=one, digest=raw_digest(raw), effect=entry.effects.get(one, by_default))
            for one, raw in (await connection.listing(kind)).items()
        )

    return McpState(
        reachable=True,
        protocol_version=connection.facts.protocol_version,
        server_info=connection.facts.info,
        tools=await listed("tools"),
        resources=await listed("resources"),
        prompts=await listed("prompts"),
    )


def _access(entry: McpServerEntry) -> Access:
    if entry.account is not None:
        return "account"
    return "client_credentials" if entry.oauth else "bearer" if entry.auth else "none"


class _Bearers:
    """One principal's accounts, in whatever session."""

    def __init__(self, accounts: Accounts, holder: Holder) -> None:
        self._accounts = accounts
        self._holder = holder

    async def token(self, run_id: RunId, server: str, stale: str | None = None) -> str:
        return await self._accounts.token(self._holder, server, stale)

    async def want(self, run_id: RunId, server: str, scope: str) -> str:
        return await self._accounts.want(self._holder, server, scope)
