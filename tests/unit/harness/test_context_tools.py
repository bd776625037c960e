"""Which grants a model is told of: everything that it can call."""

from datetime import UTC, datetime

from harness.context import tools_for
from protocol.capability import CapabilitySnapshot, Grant, GrantKind, SnapshotDocument
from protocol.ids import RunId, SnapshotId
from protocol.tool import ToolDefinition


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
    document = SnapshotDocument(
        run_id=RunId("run_1"),
        requested=(),
        grants=tuple(grant(kind) for kind in kinds),
        denials=(),
        downgrades=(),
        policy_digest="",
        policy_engine="",
        principal="prin_1",
    )
    snapshot = CapabilitySnapshot(
        id=SnapshotId("capsnap_1"),
        digest="",
        document=document,
        signature="",
        key_id="",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert [tool.name for tool in tools_for(snapshot)] == ["mcp_prompt", "mcp_resource", "mcp_tool", "tool"]
