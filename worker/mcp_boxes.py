"""MCP servers that are programs: started where somebody approved exactly that, ended with the run."""

from collections.abc import Callable

from sqlalchemy import Connection

from capabilities.mcp_launch import permission
from protocol.errors import Refused, TargetLost, TargetRefused, Unavailable
from protocol.ids import RunId, ToolExecutionId
from protocol.mcp import NOT_APPROVED, StdioEntry
from protocol.secret import SecretRef
from protocol.target import BoxSpec
from providers.mcp.servers import Servers
from records import runs, tool_executions
from records.database import Database
from records.standing import holding
from targets.docker import DockerHost
from targets.images import resolve_image
from targets.program import Program, launch


class McpBoxes:
    """The boxes in which servers run that are programs."""

    def __init__(self, database: Database, host: DockerHost, secret: Callable[[SecretRef], str]) -> None:
        self._database = database
        self._host = host
        self._secret = secret

    async def launch(self, run_id: RunId, server: str, entry: StdioEntry) -> Program:
        """Raises Refused where nobody has approved it, Unavailable where it cannot be had now."""
        permitted = await self._database.read(lambda connection: approval(connection, run_id, server, entry))
        if permitted is None:
            message = f"nobody has approved the start of the MCP server {server!r} as it is declared now"
            raise Refused(NOT_APPROVED, f"{message}; `rhone mcp approve {server}` shows it and asks")
        env = entry.env | {name: self._secret(one) for name, one in entry.secrets.items()}
        spec = BoxSpec(image=resolve_image(entry.image), limits=entry.limits, runtime=entry.runtime)
        try:
            program = await launch(self._host, spec, entry.command, env)
        except (TargetLost, TargetRefused) as fault:
            raise Unavailable("mcp.unreachable", f"its box: {fault.message}") from fault
        program.evidence["approved_by"] = permitted
        return program


def approval(connection: Connection, run_id: RunId, server: str, entry: StdioEntry) -> str | None:
    """The permission of the run's project that holds now; None for a run that is over."""
    record = runs.load(connection, run_id)
    if record is None or record.ended:
        return None
    held = holding(connection, record.tenant, record.principal_id, permission(server, entry))
    return held[-1].id if held else None


class McpKeeper:
    """Ends the sessions of this process that nobody may have any more: their runs are over, or an approval
    was taken back."""

    def __init__(self, database: Database, servers: Servers, seconds: float) -> None:
        self._database = database
        self._servers = servers
        self._seconds = seconds

    async def turn(self) -> float:
        await self.keep()
        return self._seconds

    async def keep(self) -> None:
        await self._servers.tidy()
        sessions = self._servers.sessions
        if not sessions:
            return
        for run_id, server in await self._database.read(lambda c: self._over(c, sessions)):
            await self._servers.end(run_id, server)
        parked = self._servers.parked
        for run_id, server, key in await self._database.read(lambda c: _forgotten(c, parked)):
            await self._servers.drop(run_id, server, key)

    def _over(
        self, connection: Connection, sessions: tuple[tuple[RunId, str], ...]
    ) -> list[tuple[RunId, str]]:
        return [one for one in sessions if not self._may_stay(connection, *one)]

    def _may_stay(self, connection: Connection, run_id: RunId, server: str) -> bool:
        entry = self._servers.entry(server)
        if entry.stdio is not None:
            return approval(connection, run_id, server, entry.stdio) is not None
        record = runs.load(connection, run_id)
        return record is not None and not record.ended


def _forgotten(
    connection: Connection, parked: tuple[tuple[RunId, str, str], ...]
) -> list[tuple[RunId, str, str]]:
    """Calls that have a result by now, though their server still waits for an answer."""
    ids = [ToolExecutionId(key) for _, _, key in parked]
    over = {one.id for one in tool_executions.by_ids(connection, ids) if one.completed_at is not None}
    return [one for one in parked if one[2] in over]
