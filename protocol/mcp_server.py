"""MCP servers as they are shown: what is declared of each, and how it stands just now."""

from typing import Literal

from protocol.mcp_account import Connected
from protocol.noun import JSONObject, Noun
from protocol.tool import Effect

Access = Literal["none", "bearer", "client_credentials", "account"]


class McpDefinition(Noun):
    """One thing that a server lists. `digest` is that of the definition as it was sent, which a grant pins;
    None for one of which none can be taken, and which is never granted."""

    name: str
    digest: str | None
    effect: Effect


class McpState(Noun):
    """What a look found. `reachable` is None where nobody looked, `reason` says why, or why it failed."""

    reachable: bool | None
    reason: str | None = None
    protocol_version: str | None = None
    server_info: JSONObject | None = None
    tools: tuple[McpDefinition, ...] = ()
    resources: tuple[McpDefinition, ...] = ()
    prompts: tuple[McpDefinition, ...] = ()


class McpServer(Noun):
    """A declared server. With `access` by account, `account` is the caller's own, None where there is none.
    Of a program, `words` are all that would be started, and `approved_by` whoever agreed to exactly that."""

    name: str
    transport: Literal["streamable-http", "stdio"]
    url: str | None
    access: Access
    account: Connected | None = None
    launch_digest: str | None = None
    words: str | None = None
    approved_by: str | None = None
    state: McpState
