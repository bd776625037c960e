"""Rug pulls (MCP-02) and other servers under a known name (MCP-04): what was granted is what is called."""

from collections.abc import Callable
from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from capabilities.gate import Ask, Deny, ToolCallFacts, gate
from capabilities.mcp import identity_of, offer_of
from capabilities.offer import Offer
from capabilities.verdict import Verdict
from protocol.capability import Grant
from protocol.ids import RunId
from protocol.mcp import McpServerEntry
from providers.mcp.servers import Servers
from tests.mcp_server import ADD
from tests.snapshots import unsigned
from worker.mcp_source import current_digest

pytestmark = pytest.mark.slow

RUN = RunId("run_1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Change = Callable[[dict[str, Any]], object]


def _schema(tool: dict[str, Any]) -> dict[str, Any]:
    return tool["inputSchema"]


CHANGES: dict[str, Change] = {
    "another name": lambda tool: tool.update(name="add2"),
    "another title": lambda tool: tool.update(title="Add!"),
    "another description": lambda tool: tool.update(description="Adds two numbers. "),
    "no description": lambda tool: tool.pop("description"),
    "another type": lambda tool: _schema(tool)["properties"].update(a={"type": "number"}),
    "one argument more": lambda tool: _schema(tool)["properties"].update(note={"type": "string"}),
    "one argument required less": lambda tool: _schema(tool).update(required=["a"]),
    "words in an argument": lambda tool: _schema(tool)["properties"]["a"].update(description="Your key."),
    "another annotation": lambda tool: tool.update(annotations={"readOnlyHint": False}),
    "no annotations": lambda tool: tool.pop("annotations"),
    "a schema of results": lambda tool: tool.update(outputSchema={"type": "object"}),
    "other metadata": lambda tool: tool.update(_meta={"example/version": 2}),
}


def granted(entry: McpServerEntry, version: str, raw: dict[str, Any]) -> Grant:
    offer = offer_of("tools", "t", entry, identity_of("t", entry, version), raw["name"], raw)
    assert isinstance(offer, Offer)
    return Grant(
        kind=offer.kind,
        name=offer.name,
        source_identity=offer.source_identity,
        definition=offer.definition,
        definition_digest=offer.digest,
        effect=offer.definition.effect,
        approval="auto",
        attributes=offer.attributes,
    )


def answered(grant: Grant, digest: str | None) -> object:
    """What the gate says where policy would allow."""
    snapshot = unsigned(RUN, NOW, grant)
    facts = ToolCallFacts(tool=grant.name, definition_digest=digest, arguments={"a": 1, "b": 2}, now=NOW)
    return gate(snapshot, facts, Verdict(answer="allow", rules=("r",), reason="", policy_digest="sha256:p"))


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
async def test_any_change_of_a_definition_stops_the_call(
    server: Any, servers: Callable[..., Servers], change: Change
) -> None:
    entry = server.entry()
    made = servers(t=entry)
    grant = granted(entry, (await made.connection(RUN, "t")).facts.protocol_version, ADD)
    assert await current_digest(made, RUN, grant) == grant.definition_digest
    changed = deepcopy(ADD)
    change(changed)
    server.offer(changed)
    answer = answered(grant, await current_digest(made, RUN, grant))
    assert isinstance(answer, Deny if changed["name"] != "add" else Ask), answer


async def test_another_order_is_no_change(server: Any, servers: Callable[..., Servers]) -> None:
    entry = server.entry()
    made = servers(t=entry)
    grant = granted(entry, (await made.connection(RUN, "t")).facts.protocol_version, ADD)
    turned = {key: ADD[key] for key in reversed(ADD)}
    turned["inputSchema"] = {key: ADD["inputSchema"][key] for key in reversed(ADD["inputSchema"])}
    server.offer({"name": "first", "inputSchema": {"type": "object"}}, turned)
    assert await current_digest(made, RUN, grant) == grant.definition_digest


async def test_another_address_or_protocol_under_the_name_is_another_server(
    server: Any, servers: Callable[..., Servers]
) -> None:
    """MCP-04, and RCP-06 of servers."""
    entry = server.entry()
    grant = granted(entry, "2026-07-28", ADD)
    assert await current_digest(servers(t=entry), RUN, grant) == grant.definition_digest
    elsewhere = entry.model_copy(update={"url": entry.url.replace("127.0.0.1", "localhost")})
    older = server.entry(protocol_version="2025-11-25")
    for made in (servers(t=elsewhere), servers(t=older), servers()):
        digest = await current_digest(made, RUN, grant)
        assert digest is None
        assert isinstance(answered(grant, digest), Deny)
