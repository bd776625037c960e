"""Which grants a model is told of: everything that it can call."""

from datetime import UTC, datetime

from harness.context import tools_for
from protocol.capability import Grant, GrantKind
from protocol.ids import RunId
from protocol.tool import ToolDefinition
from tests.snapshots import unsigned


def grant(kind: GrantKind) -> Grant:
    definition = ToolDefinition(name=kind, description="", input_schema={}, source="mcp", effect="read_only")
    return Grant(
        kind=kind,
        name=kind,
        source_identity="",
        definition=definition,
        definition_digest="",
        effect="read_only",
        approval="auto",
    )


def test_all_that_a_server_grants_can_be_called() -> None:
    kinds: tuple[GrantKind, ...] = ("tool", "mcp_tool", "mcp_resource", "mcp_prompt", "skill")
    snapshot = unsigned(RunId("run_1"), datetime(2026, 1, 1, tzinfo=UTC), *(grant(kind) for kind in kinds))
    assert [tool.name for tool in tools_for(snapshot)] == ["mcp_prompt", "mcp_resource", "mcp_tool", "tool"]
