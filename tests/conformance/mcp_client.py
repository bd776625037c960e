"""Our client for the official conformance suite, which starts it with the address of a server of its own.

`python -m tests.conformance.mcp_score` runs the suite. `mcp_person` stands in for the operator and for the
person with the browser.
"""

import asyncio
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from capabilities.elicitation import subject_of, with_defaults
from protocol.errors import Fault
from protocol.ids import RunId
from protocol.mcp import Answer, Asks, Exchange, NotDone, Reply
from protocol.noun import JSONObject
from providers.mcp.connection import Connection
from providers.mcp.servers import Servers
from records.database import Database
from records.hints import LocalHints
from records.mcp_accounts import McpAccounts
from records.seal import Seal
from records.writer import Writer
from tests.conformance.mcp_person import Person, declared

MOST_AGREED = 3
"""How often the person agrees anew where the server wants more, or another issuer."""


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


async def call(connection: Connection, name: str, arguments: JSONObject) -> Answer:
    """Every question is answered with its defaults, as by a person who leaves the form as it is."""
    exchange = Exchange()
    while True:
        answer = await connection.call("tools", name, arguments, key=name, seconds=15, exchange=exchange)
        if not isinstance(answer, Asks):
            return answer
        exchange = answer.exchange
        while (question := exchange.pending) is not None:
            content = with_defaults(subject_of("suite", name, question), {})
            exchange = exchange.told(Reply(action="accept", content=content))


async def session(servers: Servers, told: dict[str, Any]) -> str | None:
    """What a scenario's calls come to: the reason of the first one that the server turned down."""
    connection = await servers.connection(RunId("run_suite"), "suite")
    for name, arguments in calls(told, await connection.listing("tools")):
        answer = await call(connection, name, arguments)
        if isinstance(answer, NotDone):
            return answer.reason
    return None


async def main() -> None:
    logging.disable(logging.CRITICAL)
    url, told = sys.argv[-1], json.loads(os.environ.get("MCP_CONFORMANCE_CONTEXT", "{}"))
    with tempfile.TemporaryDirectory() as folder:
        database = Database.open(f"sqlite:///{folder}/rhone.db", Path(folder, "blobs"))
        database.migrate()
        writer = Writer(database, LocalHints())
        person = Person(url, told, McpAccounts(database, writer, Seal(b"suite")))
        try:
            reason = await attempts(person, url, told)
        finally:
            writer.close()
            database.close()
    sys.exit(reason)


async def attempts(person: Person, url: str, told: dict[str, Any]) -> str | None:
    """Until the calls are done, or the person cannot agree, or has agreed too often; without an account once,
    whatever the calls come to."""
    reason: str | None = None
    for agreed in range(MOST_AGREED + 1):
        entry = declared(url, told)
        servers = Servers({"suite": entry}, person.secret, bearers=person)
        try:
            turned_down = await session(servers, told)
            reason = turned_down if entry.account else None
        except Fault as fault:
            reason = fault.message
        finally:
            await servers.close()
        if reason is None or entry.account is None or agreed == MOST_AGREED:
            break
        try:
            await person.connect()
        except Fault as fault:
            return fault.message
    return reason


if __name__ == "__main__":
    asyncio.run(main())
