"""One call against its snapshot and the policy's verdict."""

from datetime import UTC, datetime, timedelta

import pytest

from capabilities.catalogue import Catalogue, definition_digest
from capabilities.gate import Allow, Ask, Deny, ToolCallFacts, gate, question_for
from capabilities.verdict import Answer, Asker, PolicyQuestion, RepositoryFacts, Verdict
from protocol.capability import (
    CapabilitySnapshot,
    Denial,
    Grant,
    RepositoryGrant,
    SnapshotDocument,
    ToolCapability,
)
from protocol.digest import digest
from protocol.ids import RunId, SnapshotId

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BASH = Catalogue().get("bash")
assert BASH is not None
GRANT = Grant(
    kind="tool",
    name="bash",
    source_identity="rhone:target",
    definition=BASH,
    definition_digest=definition_digest(BASH),
    effect="workspace",
    approval="auto",
    rules=("default.workspace",),
)
CALL = ToolCallFacts(
    tool="bash", definition_digest=GRANT.definition_digest, arguments={"command": "ls"}, now=NOW
)
DOCUMENT = SnapshotDocument(
    run_id=RunId("run_1"),
    requested=(ToolCapability(kind="tool", name="bash", approval="auto"),),
    grants=(GRANT,),
    denials=(Denial(kind="tool", name="git_push", rule="own.no", reason="a rule forbids it"),),
    downgrades=(),
    policy_digest="sha256:policy",
    policy_engine="none",
    principal="prin_1",
    target={"kind": "workspace", "name": "dev"},
    repository=RepositoryGrant(
        forge="forge", repository="forge/demo", base_branch="main", base_commit="a" * 40, branch="rhone/fix"
    ),
)


def snapshot(**changes: object) -> CapabilitySnapshot:
    document = DOCUMENT.model_copy(update={"grants": (GRANT.model_copy(update=changes),)})
    return CapabilitySnapshot(
        id=SnapshotId("capsnap_1"),
        digest=digest(document),
        document=document,
        signature="",
        key_id="",
        created_at=NOW,
    )


def verdict(answer: Answer, policy_digest: str = "sha256:policy") -> Verdict:
    return Verdict(answer=answer, rules=("own.rule",), reason="because", policy_digest=policy_digest)


def test_a_granted_call_that_the_policy_allows_is_allowed() -> None:
    assert gate(snapshot(), CALL, verdict("allow")) == Allow(rule="own.rule", reason="because")


def test_a_tool_without_a_grant_is_denied() -> None:
    call = CALL.model_copy(update={"tool": "nope"})
    assert gate(snapshot(), call, verdict("allow")) == Deny(
        rule="grant.missing", reason="'nope' is not granted in this run"
    )


def test_a_tool_that_was_denied_is_denied_by_the_same_rule() -> None:
    call = CALL.model_copy(update={"tool": "git_push"})
    assert gate(snapshot(), call, verdict("allow")) == Deny(rule="own.no", reason="a rule forbids it")


def test_a_grant_ends_at_its_time() -> None:
    assert isinstance(gate(snapshot(expires_at=NOW + timedelta(seconds=1)), CALL, verdict("allow")), Allow)
    ended = gate(snapshot(expires_at=NOW), CALL, verdict("allow"))
    assert isinstance(ended, Deny)
    assert ended.rule == "grant.expired"


def test_a_verdict_of_another_policy_counts_for_nothing() -> None:
    answer = gate(snapshot(), CALL, verdict("allow", "sha256:other"))
    assert isinstance(answer, Deny)
    assert answer.rule == "policy.version"


@pytest.mark.parametrize(
    ("granted", "decided", "answer", "rule"),
    [
        ("auto", "allow", Allow, "own.rule"),
        ("auto", "ask", Ask, "own.rule"),
        ("auto", "deny", Deny, "own.rule"),
        ("ask", "allow", Ask, "default.workspace"),
        ("ask", "ask", Ask, "own.rule"),
        ("ask", "deny", Deny, "own.rule"),
    ],
)
def test_the_stricter_of_grant_and_verdict_wins(
    granted: str, decided: Answer, answer: type[Allow | Ask | Deny], rule: str
) -> None:
    given = gate(snapshot(approval=granted), CALL, verdict(decided))
    assert (type(given), given.rule) == (answer, rule)


def test_a_definition_that_drifted_stops_the_call_and_asks() -> None:
    call = CALL.model_copy(update={"definition_digest": "sha256:other"})
    answer = gate(snapshot(), call, verdict("allow"))
    assert isinstance(answer, Ask)
    assert answer.rule == "definition.drift"
    assert isinstance(gate(snapshot(), call, verdict("deny")), Deny)


def test_a_tool_that_no_longer_exists_is_denied() -> None:
    answer = gate(snapshot(), CALL.model_copy(update={"definition_digest": None}), verdict("allow"))
    assert isinstance(answer, Deny)
    assert answer.rule == "definition.gone"


def test_a_grant_for_less_denies_more() -> None:
    narrow = snapshot(argument_constraints={"properties": {"command": {"enum": ["ls"]}}})
    assert isinstance(gate(narrow, CALL, verdict("allow")), Allow)
    answer = gate(narrow, CALL.model_copy(update={"arguments": {"command": "rm"}}), verdict("allow"))
    assert isinstance(answer, Deny)
    assert answer.rule == "grant.arguments"


def test_the_question_at_call_time_is_the_resolver_s_with_arguments() -> None:
    asked = question_for(snapshot(), GRANT, {"command": "ls"}, roles=("operator",), branch="main")
    assert asked == PolicyQuestion(
        principal=Asker(id="prin_1", roles=("operator",)),
        tool="bash",
        kind="tool",
        source="target",
        effect="workspace",
        target="workspace",
        approval="auto",
        repository=RepositoryFacts(
            forge="forge", repository="forge/demo", base="main", branch="main", branch_granted=False
        ),
        arguments={"command": "ls"},
    )
