"""What a run is offered of its servers: what it names, nothing else, and never two things that read alike."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from capabilities.offer import Missing, Offer
from protocol.capability import Capability, McpCapability, ToolCapability
from protocol.ids import OrgId, PrincipalId, ProjectId, RunId, SessionId
from protocol.principal import Tenant
from protocol.run import HarnessChoice, Limits, Run, RunRequest
from providers.mcp.servers import Servers
from records.run_record import RunRecord
from worker.mcp_source import offered

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def record(*capabilities: Capability) -> RunRecord:
    run = Run(
        id=RunId("run_1"),
        session_id=SessionId("sess_1"),
        status="running",
        model="m",
        harness=HarnessChoice(),
        limits=Limits(),
        created_at=NOW,
    )
    return RunRecord(
        run=run,
        tenant=Tenant(org_id=OrgId("org_1"), project_id=ProjectId("proj_1")),
        principal_id=PrincipalId("prin_1"),
        request=RunRequest(input="go", capabilities=capabilities),
        instructions=None,
        stateful=True,
        starting=False,
        inbox_last=0,
        inbox_heard=0,
        waited_ms=0,
        waiting_since=None,
    )


def asks(server: str, *tools: str, **fields: Any) -> McpCapability:
    return McpCapability.model_validate({"kind": "mcp", "server": server, "tools": tools, **fields})


async def test_an_empty_list_grants_nothing(server: Any, servers: Callable[..., Servers]) -> None:
    made = servers(t=server.entry())
    assert await offered(made, record(asks("t")), asks("t")) == ()


async def test_each_kind_is_offered_by_its_own_list(server: Any, servers: Callable[..., Servers]) -> None:
    made = servers(t=server.entry())
    asked = asks("t", "add", "add", resources=["note://one"], prompts=["greet", "nope"])
    offers = await offered(made, record(asked), asked)
    assert [offer.kind for offer in offers if isinstance(offer, Offer)] == [
        "mcp_tool",
        "mcp_resource",
        "mcp_prompt",
    ]
    assert [offer.rule for offer in offers if isinstance(offer, Missing)] == ["mcp.not_listed"]


async def test_one_name_on_two_servers_is_flagged_on_both(
    server: Any, servers: Callable[..., Servers]
) -> None:
    """MCP-03."""
    entry = server.entry(effects={"add": "read_only"})
    made = servers(one=entry, two=entry)
    alone = await offered(made, record(asks("one", "add")), asks("one", "add"))
    both = record(asks("one", "add"), asks("two", "add"))
    twice = [(await offered(made, both, asked))[0] for asked in (asks("one", "add"), asks("two", "add"))]
    native = await offered(
        made, record(asks("one", "add"), ToolCapability(kind="tool", name="Add")), asks("one", "add")
    )
    found = [offer for offer in (*alone, *twice, *native) if isinstance(offer, Offer)]
    assert [offer.name for offer in found] == ["one__add", "one__add", "two__add", "one__add"]
    assert [offer.attributes.get("flags") for offer in found] == [None, "like:add", "like:add", "like:Add"]
    assert [offer.definition.effect for offer in found] == ["read_only", "unknown", "unknown", "unknown"]


async def test_a_server_that_is_away_offers_nothing_and_says_so(
    server: Any, servers: Callable[..., Servers]
) -> None:
    away = server.entry().model_copy(update={"url": "http://127.0.0.1:1/mcp"})
    asked = asks("t", "add", prompts=["greet"])
    offers = await offered(servers(t=away), record(asked), asked)
    assert [type(offer) for offer in offers] == [Missing, Missing]
    assert {offer.rule for offer in offers if isinstance(offer, Missing)} == {"mcp.unreachable"}
    [unknown] = await offered(servers(), record(asks("t", "add")), asks("t", "add"))
    assert isinstance(unknown, Missing)
    assert unknown.rule == "mcp.unknown_server"
