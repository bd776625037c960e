"""Taint: which results carry which labels, and that what is tainted twice sends nothing out unattended."""

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capabilities.labels import LabelTable
from capabilities.policy import Policy, shipped
from capabilities.verdict import Asker, PolicyQuestion
from protocol.capability import Grant, GrantKind
from protocol.tool import Effect, ToolDefinition, ToolSource

HOME = {"native", "target", "client", "skill"}
KEEPS = HOME | {"memory", "vault"}
WEB = ("web_fetch", "web_search")
GENEROUS = '@id("own.everything") permit (principal, action, resource);'
POLICY = Policy.load([shipped(), ("own.cedar", GENEROUS)])


def grant(name: str, source: ToolSource, kind: GrantKind = "tool", **attributes: str) -> Grant:
    definition = ToolDefinition(name=name, description="", input_schema={}, source=source, effect="read_only")
    return Grant(
        kind=kind,
        name=name,
        source_identity="test",
        definition=definition,
        definition_digest="",
        effect="read_only",
        approval="auto",
        attributes=attributes,
    )


@pytest.mark.parametrize(
    ("granted", "labels"),
    [
        (grant("web_fetch", "native"), ("untrusted",)),
        (grant("web_search", "native"), ("untrusted",)),
        (grant("github.issues", "mcp", "mcp_tool", server="github"), ("untrusted",)),
        (grant("open_pull_request", "forge"), ("untrusted",)),
        (grant("recall", "native", "memory", scope="user"), ("private",)),
        (grant("recall", "native", "memory", scope="project"), ()),
        (grant("handbook.read", "native", "vault", vault="handbook"), ("private",)),
        (grant("bash", "target"), ()),
    ],
)
def test_a_result_carries_the_labels_of_where_it_comes_from(granted: Grant, labels: tuple[str, ...]) -> None:
    assert LabelTable().of(granted) == labels


def test_the_narrowest_entry_of_an_installation_decides() -> None:
    table = LabelTable({"mcp:ours": (), "read_file": ("private",), "vault:public": ()})
    assert table.of(grant("ours.search", "mcp", "mcp_tool", server="ours")) == ()
    assert table.of(grant("theirs.search", "mcp", "mcp_tool", server="theirs")) == ("untrusted",)
    assert table.of(grant("read_file", "target")) == ("private",)
    assert table.of(grant("public.read", "native", "vault", vault="public")) == ()


@given(
    name=st.sampled_from([*WEB, "bash", "git_push", "send"]),
    source=st.sampled_from(get_args(ToolSource)),
    effect=st.sampled_from(get_args(Effect)),
    labels=st.sets(st.sampled_from(["untrusted", "private"])),
)
def test_untrusted_and_private_never_act_outward_unattended(
    name: str, source: ToolSource, effect: Effect, labels: set[str]
) -> None:
    asked = PolicyQuestion(
        principal=Asker(id="prin_1"), tool=name, source=source, effect=effect, labels=tuple(sorted(labels))
    )
    verdict = POLICY.decide(asked)
    stays = effect in ("read_only", "workspace") and source in KEEPS and name not in WEB
    if labels == {"untrusted", "private"} and not stays:
        assert verdict.answer == "ask"
        assert "default.exfiltration" in verdict.rules
    elif source in HOME:
        assert verdict.answer == "allow"
