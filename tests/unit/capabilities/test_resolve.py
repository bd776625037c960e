"""Requested capabilities, catalogue and policy give grants, denials and downgrades."""

import pytest

from capabilities.catalogue import Catalogue, definition_digest
from capabilities.policy import Policy, shipped
from capabilities.resolve import ResolveRequest, resolve
from capabilities.verdict import Asker
from protocol.capability import (
    ClientToolCapability,
    Denial,
    Downgrade,
    EvalCapability,
    Grant,
    RepositoryGrant,
    SnapshotDocument,
    ToolCapability,
)
from protocol.digest import digest
from protocol.ids import RunId
from protocol.run import TargetChoice

RUN = RunId("run_01hzzzzzzzzzzzzzzzzzzzzzzz")
WORKSPACE = TargetChoice(kind="workspace", name="dev")
REPOSITORY = RepositoryGrant(
    forge="forge", repository="forge/demo", base_branch="main", base_commit="a" * 40, branch="rhone/fix"
)
CATALOGUE = Catalogue()
SHIPPED = Policy.load([shipped()])


def resolved(*capabilities: object, policy: Policy = SHIPPED, **fields: object) -> SnapshotDocument:
    given = {"target": WORKSPACE, "principal": Asker(id="prin_1"), "capabilities": capabilities} | fields
    return resolve(ResolveRequest.model_validate({"run_id": RUN} | given), CATALOGUE, policy)


def tool(name: str, approval: str | None = None) -> ToolCapability:
    return ToolCapability.model_validate({"kind": "tool", "name": name, "approval": approval})


def grant(name: str, approval: str, *rules: str) -> Grant:
    definition = CATALOGUE.get(name)
    assert definition is not None
    return Grant.model_validate(
        {
            "kind": "tool",
            "name": name,
            "source_identity": f"rhone:{definition.source}",
            "definition": definition,
            "definition_digest": definition_digest(definition),
            "effect": definition.effect,
            "approval": approval,
            "rules": rules,
        }
    )


def test_a_hosted_coding_run_gets_its_tools_and_asks_before_anything_leaves() -> None:
    document = resolved(repository=REPOSITORY)
    assert document.grants == (
        grant("bash", "auto", "default.workspace"),
        grant("read_file", "auto", "default.read"),
        grant("write_file", "auto", "default.workspace"),
        grant("edit_file", "auto", "default.workspace"),
        grant("glob", "auto", "default.read"),
        grant("grep", "auto", "default.read"),
        grant("save_artifact", "auto", "default.artifacts"),
        grant("ask_user", "auto", "default.read"),
        grant("git_push", "ask", "default.outward"),
        grant("open_pull_request", "ask", "default.outward"),
    )
    assert (document.denials, document.downgrades) == ((), ())
    assert document.policy_digest == SHIPPED.digest
    assert document.policy_engine == SHIPPED.engine
    assert document.target == {"kind": "workspace", "name": "dev"}
    assert document.repository == REPOSITORY


def test_what_was_requested_is_kept_with_what_every_run_gets() -> None:
    assert [getattr(one, "name", None) for one in resolved().requested][:2] == ["bash", "read_file"]


@pytest.mark.parametrize("asked", ["ask", "approve"])
def test_a_request_may_tighten(asked: str) -> None:
    document = resolved(tool("bash", asked))
    assert document.grants == (grant("bash", "ask", "request.ask", "default.workspace"),)
    assert document.downgrades == ()


def test_a_request_never_loosens_and_the_difference_is_recorded() -> None:
    document = resolved(tool("git_push", "auto"), repository=REPOSITORY)
    assert document.grants == (grant("git_push", "ask", "default.outward"),)
    assert document.downgrades == (
        Downgrade(
            kind="tool",
            name="git_push",
            asked="auto",
            given="ask",
            rule="default.outward",
            reason="'git_push' may be invoked, but not unattended",
        ),
    )


def test_what_the_policy_forbids_is_denied_by_the_rule_s_name() -> None:
    own = '@id("own.no") forbid(principal, action, resource == Tool::"bash");'
    document = resolved(tool("bash"), policy=Policy.load([shipped(), ("own.cedar", own)]))
    assert document.grants == ()
    assert document.denials == (
        Denial(kind="tool", name="bash", rule="own.no", reason="'bash': a rule forbids it"),
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("bash", "'bash' acts in a workspace, and the run has none"),
        ("git_push", "'git_push' acts on a repository, and the run has none"),
    ],
)
def test_a_tool_without_its_target_is_denied(name: str, reason: str) -> None:
    document = resolved(tool(name), target=None)
    assert document.denials == (Denial(kind="tool", name=name, rule="target.missing", reason=reason),)


def test_a_tool_that_does_not_exist_is_denied() -> None:
    assert resolved(tool("nope")).denials == (
        Denial(kind="tool", name="nope", rule="catalogue.unknown", reason="there is no tool 'nope'"),
    )


def test_a_kind_that_is_not_built_is_denied_and_never_dropped() -> None:
    document = resolved(EvalCapability(kind="eval", ref="x@1"), tool("bash"))
    assert document.denials == (
        Denial(
            kind="eval",
            name="x@1",
            rule="capability.unsupported",
            reason="capabilities of the kind 'eval' are not supported",
        ),
    )
    assert len(document.grants) == 1


def client(name: str = "pick_file", effect: str = "read_only") -> ClientToolCapability:
    return ClientToolCapability.model_validate(
        {"kind": "client_tool", "name": name, "description": "Pick.", "input_schema": {}, "effect": effect}
    )


def test_a_client_tool_is_granted_with_its_own_definition_and_time() -> None:
    [own] = resolved(client(), target=None).grants
    assert (own.kind, own.source_identity, own.approval, own.timeout_ms) == (
        "client_tool",
        "request",
        "auto",
        30_000,
    )
    assert own.definition.source == "client"


def test_a_client_tool_that_writes_asks() -> None:
    [own] = resolved(client(effect="unknown"), target=None).grants
    assert own.approval == "ask"


def test_a_client_tool_takes_no_name_of_ours_and_no_name_twice() -> None:
    document = resolved(client("bash"), client(), client(effect="unknown"), target=None)
    assert [one.effect for one in document.grants] == ["read_only"]
    assert [denial.rule for denial in document.denials] == ["catalogue.name_taken", "request.duplicate"]


def test_the_same_question_gives_the_same_document() -> None:
    assert digest(resolved(repository=REPOSITORY)) == digest(resolved(repository=REPOSITORY))
