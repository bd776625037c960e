"""Tools that act through a resource: both must be granted, and rules see both."""

from datetime import UTC, datetime

import pytest

from capabilities.catalogue import Catalogue
from capabilities.offer import Offer, Stock, shelf_mark
from capabilities.policy import Policy, shipped
from capabilities.resolve import ResolveRequest, resolve
from capabilities.resources import acting, check_vaults, implied, resource_fault, resource_of
from capabilities.verdict import Asker
from harness.context import instructions_for, tools_for
from protocol.capability import CapabilitySnapshot, SkillCapability, VaultCapability
from protocol.errors import InvalidRequest
from protocol.ids import RunId, SnapshotId
from protocol.tool import ToolDefinition

REFS = ("ropes@2", "knots@1")


def offer(ref: str) -> Offer:
    definition = ToolDefinition(
        name=ref, description=f"About\n{ref}.", input_schema={}, source="skill", effect="read_only"
    )
    return Offer(
        kind="skill",
        name=ref,
        source_identity="rhone:skills",
        definition=definition,
        digest="sha256:1",
        attributes={"skill": ref},
    )


def snapshot(*rules: str) -> CapabilitySnapshot:
    asked = tuple(SkillCapability(kind="skill", ref=ref) for ref in REFS)
    fetched = {shelf_mark(one): (offer(one.ref),) for one in asked}
    request = ResolveRequest(run_id=RunId("run_1"), principal=Asker(id="prin_1"), capabilities=asked)
    policy = Policy.load([shipped(), ("own.cedar", "\n".join(rules))])
    return CapabilitySnapshot(
        id=SnapshotId("capsnap_1"),
        digest="",
        document=resolve(request, Stock(Catalogue(), fetched), policy),
        signature="",
        key_id="",
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_a_skill_brings_the_tools_that_reach_it() -> None:
    granted = snapshot()
    assert [(grant.name, grant.approval) for grant in granted.document.grants] == [
        ("ropes@2", "auto"),
        ("knots@1", "auto"),
        ("load_skill", "auto"),
        ("read_skill_file", "auto"),
    ]
    assert [tool.name for tool in tools_for(granted)] == ["load_skill", "read_skill_file"]


def test_the_context_names_skills_in_one_order_and_each_on_one_line() -> None:
    assert "- knots@1: About knots@1.\n- ropes@2: About ropes@2." in instructions_for(snapshot(), None)


def test_a_call_reaches_what_is_granted_and_nothing_else() -> None:
    granted = snapshot()
    tool = granted.grant_for("load_skill")
    assert tool is not None
    through = resource_of(granted, tool, {"skill": "knots@1"})
    assert through == granted.grant_for("knots@1")
    assert acting(tool, through).attributes == {"skill": "knots@1"}
    assert resource_fault(granted, tool, {"skill": "knots@1"}) is None
    assert resource_fault(granted, tool, {"skill": "load_skill"}) == (
        "skill: 'load_skill' is not granted in this run; there are: knots@1, ropes@2"
    )


def test_a_rule_forbids_one_skill_and_leaves_the_others() -> None:
    rule = '@id("own.no-knots") forbid (principal, action, resource is Tool)'
    rule += ' when { resource has skill && resource.skill like "knots@*" };'
    document = snapshot(rule).document
    assert [(denial.name, denial.rule) for denial in document.denials] == [("knots@1", "own.no-knots")]
    assert "ropes@2" in [grant.name for grant in document.grants]


def test_a_vault_brings_the_tools_that_its_access_needs() -> None:
    read = VaultCapability(kind="vault", name="handbook", access="read")
    write = VaultCapability(kind="vault", name="diary", access="write")
    readers = ["vault_list", "vault_read", "vault_search", "vault_backlinks"]
    assert [one.name for one in implied((read,))] == readers
    assert [one.name for one in implied((read, write))] == [*readers, "vault_patch"]


def test_a_vault_that_nobody_declares_is_refused_with_its_field() -> None:
    asked = tuple(VaultCapability(kind="vault", name=name, access="read") for name in ("handbook", "diary"))
    check_vaults(asked, {"handbook", "diary"})
    with pytest.raises(InvalidRequest) as refused:
        check_vaults(asked, {"handbook"})
    assert (refused.value.code, refused.value.param) == ("vault.unknown", "capabilities[1].name")
