"""The declared vaults, as runs open them: a folder is one for all, a server is read by each run anew."""

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

from protocol.ids import RunId
from protocol.mcp import Asks, Question, Said
from protocol.noun import JSONObject
from protocol.vault import VaultEntry
from providers.mcp.servers import Servers
from providers.vaults.vault import Vault, folder_vault, resource_vault

KEPT = 32


class Vaults:
    """A vault behind a server is as its run sees it, so no other run is shown what that one read."""

    def __init__(
        self, entries: Mapping[str, VaultEntry], base_dir: Path, data: Path, servers: Servers
    ) -> None:
        self._entries = entries
        self._servers = servers
        self._folders: dict[str, Vault] = {
            name: folder_vault(entry, base_dir / entry.path, data / "vaults" / f"{name}.db")
            for name, entry in entries.items()
            if entry.path is not None
        }
        self._of_runs: OrderedDict[tuple[RunId, str], Vault] = OrderedDict()

    @property
    def names(self) -> list[str]:
        return sorted(self._entries)

    def entry(self, name: str) -> VaultEntry | None:
        return self._entries.get(name)

    def opened(self, run_id: RunId, name: str) -> Vault:
        """Raises KeyError where none is declared."""
        entry, key = self._entries[name], (run_id, name)
        if entry.server is None:
            return self._folders[name]
        found = self._of_runs.get(key)
        if found is None:
            found = self._of_runs[key] = resource_vault(
                entry, ServerStore(self._servers, run_id, entry.server)
            )
            while len(self._of_runs) > KEPT:
                self._of_runs.popitem(last=False)
        self._of_runs.move_to_end(key)
        return found


class ServerStore:
    """The resources of an MCP server, over the session that a run has with it."""

    def __init__(self, servers: Servers, run_id: RunId, server: str) -> None:
        self._servers = servers
        self._run_id = run_id
        self._server = server

    async def listing(self) -> Mapping[str, JSONObject]:
        connection = await self._servers.connection(self._run_id, self._server)
        return await connection.listing("resources")

    async def text(self, address: str) -> str | Question | None:
        connection = await self._servers.connection(self._run_id, self._server)
        seconds = self._servers.entry(self._server).timeout_ms / 1000
        said = await connection.call("resources", address, {}, key=address, seconds=seconds)
        if isinstance(said, Asks):
            await connection.drop(address)
            return said.exchange.pending
        if not isinstance(said, Said) or said.is_error:
            return None
        parts = [block["resource"] for block in said.content if isinstance(block.get("resource"), dict)]
        texts = [part["text"] for part in parts if isinstance(part, dict) and "text" in part]
        return "\n".join(map(str, texts)) if texts else None
