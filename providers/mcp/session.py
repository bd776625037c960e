"""One session with a server: the SDK's, less what a hostile server could use against its reader."""

from typing import Any

import mcp_types as types
from mcp.client.session import ClientSession
from mcp.shared.exceptions import MCPError
from mcp_types.version import MODERN_PROTOCOL_VERSIONS
from pydantic import RootModel, ValidationError

from protocol.mcp import Listed, ProtocolVersion
from protocol.noun import JSONObject
from providers.mcp.guarded import UNREACHED


class Raw(RootModel[dict[str, Any]]):
    """A result as it came."""


class Session(ClientSession):
    """Lists give the objects as the server sent them, and a schema of the server's is never compiled: one
    regular expression in it could hold the process for ever."""

    def _build_capabilities(self, version: str) -> types.ClientCapabilities:
        """A server may ask for plain fields; it may not send a person to an address."""
        form = types.ElicitationCapability(form=types.FormElicitationCapability())
        return super()._build_capabilities(version).model_copy(update={"elicitation": form})

    async def agree(self, wanted: ProtocolVersion | None) -> None:
        """Settle the protocol: 2026-07-28 where the server speaks it, else the handshake of before.
        A wanted version is the only one that is taken."""
        if wanted is None or wanted in MODERN_PROTOCOL_VERSIONS:
            try:
                await self.discover()
            except (MCPError, RuntimeError, ValidationError) as fault:
                if wanted is not None or (isinstance(fault, MCPError) and fault.code == UNREACHED):
                    raise
        if self.protocol_version is None:
            await self.initialize()
        if wanted is not None and self.protocol_version != wanted:
            raise RuntimeError(f"the server speaks {self.protocol_version}, not {wanted}")

    async def page(self, kind: Listed, cursor: str | None) -> tuple[list[JSONObject], str | None]:
        """One page of a list, raw, and the cursor of the next."""
        params = types.PaginatedRequestParams(cursor=cursor)
        match kind:
            case "tools":
                raw = await self.send_request(types.ListToolsRequest(params=params), Raw)
                listed = types.ListToolsResult.model_validate(raw.root, by_name=False)
                # Keeps the map of arguments that go into headers; drops what has an invalid one.
                kept = {tool.name for tool in self._absorb_tool_listing(listed, complete=False).tools}
                return [tool for tool in raw.root["tools"] if tool["name"] in kept], listed.next_cursor
            case "resources":
                raw = await self.send_request(types.ListResourcesRequest(params=params), Raw)
            case "prompts":
                raw = await self.send_request(types.ListPromptsRequest(params=params), Raw)
        return list(raw.root[kind]), raw.root.get("nextCursor")

    async def validate_tool_result(self, name: str, result: types.CallToolResult) -> None:
        """A server that checks its own results proves nothing."""
