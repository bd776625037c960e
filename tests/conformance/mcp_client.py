"""Our client for the official conformance suite, which starts it with the address of a server of its own.

`python -m tests.conformance.mcp_score` runs the suite. Where a scenario gives a client's id and secret, this
stands in for the operator, who knows the issuer: it takes the one that the server names.
"""

import asyncio
import json
import logging
import os
import sys
from typing import Any

import httpx2

from protocol.errors import Fault
from protocol.ids import RunId
from protocol.mcp import ClientCredentials, McpServerEntry
from protocol.noun import JSONObject
from protocol.secret import SecretRef
from providers.mcp.servers import Servers

SECRET = SecretRef(kind="env", name="SECRET")


def declared(url: str, told: dict[str, Any]) -> McpServerEntry:
    oauth = None
    if "client_secret" in told:
        address = httpx2.URL(url)
        where = address.copy_with(path=f"/.well-known/oauth-protected-resource{address.path}")
        issuer = httpx2.get(where, trust_env=False).json()["authorization_servers"][0]
        oauth = ClientCredentials(issuer=issuer, client_id=told["client_id"], client_secret=SECRET)
    return McpServerEntry(url=url, private_network=True, timeout_ms=20_000, oauth=oauth)


def calls(told: dict[str, Any], listed: dict[str, Any]) -> list[tuple[str, JSONObject]]:
    """What the scenario tells to call; each tool once where it tells nothing."""
    if "toolCalls" in told:
        return [(call["name"], call["arguments"]) for call in told["toolCalls"]]
    focal = listed.get("json_schema_2020_12_tool", {})
    known: dict[str, JSONObject] = {
        "add_numbers": {"a": 5, "b": 3},
        "json_schema_echo": {"schema": focal.get("inputSchema")},
    }
    return [(name, known.get(name, {})) for name in listed]


async def main() -> None:
    logging.disable(logging.CRITICAL)
    told = json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    servers = Servers({"suite": declared(sys.argv[-1], told)}, lambda _: told["client_secret"])
    try:
        connection = await servers.connection(RunId("run_suite"), "suite")
        for name, arguments in calls(told, await connection.listing("tools")):
            await connection.call("tools", name, arguments, key="k", seconds=15)
    except Fault as fault:
        sys.exit(fault.message)
    finally:
        await servers.close()


if __name__ == "__main__":
    asyncio.run(main())
