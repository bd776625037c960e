"""The accounts that runs call MCP servers with: each run with its principal's."""

from collections.abc import Mapping
from pathlib import Path

from protocol.ids import RunId
from protocol.mcp import McpServerEntry
from protocol.mcp_account import Holder
from providers.mcp.accounts import Accounts, not_connected
from records import runs
from records.database import Database
from records.keys import pepper_in
from records.mcp_accounts import McpAccounts
from records.seal import Seal
from records.secrets import Secrets
from records.writer import Writer


class RunAccounts:
    """The `Bearers` of a worker."""

    def __init__(self, database: Database, accounts: Accounts) -> None:
        self._database = database
        self._accounts = accounts

    async def token(self, run_id: RunId, server: str, stale: str | None = None) -> str:
        return await self._accounts.token(await self._holder(run_id, server), server, stale)

    async def want(self, run_id: RunId, server: str, scope: str) -> str:
        return await self._accounts.want(await self._holder(run_id, server), server, scope)

    async def _holder(self, run_id: RunId, server: str) -> Holder:
        record = await self._database.look(lambda connection: runs.load(connection, run_id))
        if record is None:
            raise not_connected(server, "is called by no run that is known")
        return Holder(tenant=record.tenant, principal_id=record.principal_id)


def run_accounts(
    entries: Mapping[str, McpServerEntry], secrets: Secrets, data: Path, database: Database, writer: Writer
) -> RunAccounts:
    """What the gateways of the same deployment seal is opened here: they share its pepper."""
    kept = McpAccounts(database, writer, Seal(pepper_in(data)))
    return RunAccounts(database, Accounts(entries, kept, secrets.resolve, secrets.mask))
