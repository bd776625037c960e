"""What exists to be granted."""

import pytest

from capabilities.arguments import schema_fault
from capabilities.catalogue import Catalogue, built_in, definition_digest
from protocol.tool import ToolDefinition

COUNTING = ToolDefinition(
    name="count_write",
    description="Counts.",
    input_schema={"type": "object", "properties": {}},
    source="target",
    effect="non_idempotent_write",
)


def test_the_built_in_tools_have_the_effects_that_the_ledger_relies_on() -> None:
    assert {tool.name: (tool.source, tool.effect) for tool in Catalogue().declared()} == {
        "ask_user": ("native", "read_only"),
        "bash": ("target", "workspace"),
        "edit_file": ("target", "workspace"),
        "git_push": ("forge", "non_idempotent_write"),
        "glob": ("target", "read_only"),
        "grep": ("target", "read_only"),
        "load_skill": ("skill", "read_only"),
        "open_pull_request": ("forge", "non_idempotent_write"),
        "read_skill_file": ("skill", "read_only"),
        "read_file": ("target", "read_only"),
        "save_artifact": ("target", "idempotent_write"),
        "set_up_workspace": ("target", "workspace"),
        "spawn": ("native", "idempotent_write"),
        "vault_backlinks": ("vault", "read_only"),
        "vault_list": ("vault", "read_only"),
        "vault_patch": ("vault", "non_idempotent_write"),
        "vault_read": ("vault", "read_only"),
        "vault_search": ("vault", "read_only"),
        "web_fetch": ("native", "read_only"),
        "web_search": ("native", "read_only"),
        "write_file": ("target", "workspace"),
    }


def test_every_built_in_tool_is_described_closed_and_well_formed() -> None:
    for tool in built_in():
        properties = tool.input_schema["properties"]
        assert isinstance(properties, dict)
        assert schema_fault(tool.input_schema) is None
        assert tool.input_schema["additionalProperties"] is False
        assert all(isinstance(item, dict) and item["description"] for item in properties.values())
        assert set(tool.advisory) <= set(properties)
        assert len(tool.description) < 600


def test_every_schema_of_ours_is_one_that_a_tool_may_have() -> None:
    assert [schema_fault(tool.input_schema) for tool in built_in()] == [None] * len(built_in())
    assert len({tool.name for tool in built_in()}) == len(built_in())


def test_further_tools_can_be_declared() -> None:
    catalogue = Catalogue([COUNTING])
    assert catalogue.get("count_write") == COUNTING
    assert "count_write" in catalogue.names()


def test_a_name_is_declared_once() -> None:
    with pytest.raises(ValueError, match="declared twice"):
        Catalogue([COUNTING, COUNTING])


def test_a_tool_whose_schema_is_no_schema_is_not_declared() -> None:
    with pytest.raises(ValueError, match="not JSON Schema"):
        Catalogue([COUNTING.model_copy(update={"input_schema": {"type": "nothing"}})])


def test_any_change_of_a_definition_changes_its_digest() -> None:
    changed = (
        {"name": "other"},
        {"description": "Counts!"},
        {"input_schema": {"type": "object", "properties": {"x": {}}}},
        {"source": "forge"},
        {"effect": "unknown"},
        {"advisory": ("x",)},
    )
    digests = {definition_digest(COUNTING.model_copy(update=change)) for change in changed}
    assert len(digests | {definition_digest(COUNTING)}) == len(changed) + 1
