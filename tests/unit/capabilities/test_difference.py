"""What changed between two snapshots, in words."""

from typing import Any

from capabilities.catalogue import Catalogue
from capabilities.difference import Change, changes
from capabilities.policy import Policy, shipped
from capabilities.resolve import ResolveRequest, resolve
from capabilities.verdict import Asker
from protocol.capability import ClientToolCapability, SnapshotDocument, ToolCapability
from protocol.ids import RunId
from protocol.run import TargetChoice

POLICY = Policy.load([shipped()])
TARGET = TargetChoice(kind="workspace", name="dev")


def document(*names: str, policy: Policy = POLICY, ask: str = "", **fields: Any) -> SnapshotDocument:
    asked = tuple(
        ToolCapability(kind="tool", name=name, approval="ask" if name == ask else None) for name in names
    )
    request = ResolveRequest(
        run_id=RunId("run_1"), principal=Asker(id="ann"), capabilities=asked, target=TARGET, **fields
    )
    return resolve(request, Catalogue(), policy)


def words(before: SnapshotDocument, after: SnapshotDocument) -> list[tuple[str, str]]:
    return [(change.words, change.why) for change in changes(before, after)]


def test_two_of_a_kind_differ_in_nothing() -> None:
    assert changes(document("bash", "grep"), document("bash", "grep")) == ()


def test_a_tool_that_is_not_asked_for_any_more_is_told_with_its_reason() -> None:
    found = changes(document("bash", "grep"), document("bash"))
    assert [(change.what, change.name) for change in found] == [("request", "grep"), ("not_granted", "grep")]
    assert found[1].why == "it was not asked for"
    [_, back] = changes(document("bash"), document("bash", "grep"))
    assert back == Change(
        what="granted",
        name="grep",
        words="'grep' is granted now and runs unattended",
        why="the rule default.read",
    )


def test_a_rule_that_forbids_is_named_and_so_is_the_policy() -> None:
    rule = '@id("team.no-bash") forbid (principal, action, resource == Tool::"bash");'
    after = document("bash", policy=Policy.load([shipped(), ("team.cedar", rule)]))
    told = words(document("bash"), after)
    assert told[0][0].startswith("the policy changed: sha256:")
    assert told[1] == ("'bash' is not granted any more", "the rule team.no-bash: 'bash': a rule forbids it")
    back = words(after, document("bash"))
    assert back[1] == (
        "'bash' is granted now and runs unattended",
        "it was denied by the rule team.no-bash; now by the rule default.workspace",
    )


def test_an_approval_that_was_tightened_is_told_with_the_rule() -> None:
    found = changes(document("bash"), document("bash", ask="bash"))
    assert found[-1] == Change(
        what="approval",
        name="bash",
        words="'bash' asks before each call now",
        why="the rule request.ask, default.workspace; before the rule default.workspace",
    )


def test_a_definition_that_changed_names_its_parts() -> None:
    def client(description: str) -> SnapshotDocument:
        tool = ClientToolCapability(
            kind="client_tool", name="pick", description=description, input_schema={"type": "object"}
        )
        request = ResolveRequest(run_id=RunId("run_1"), principal=Asker(id="ann"), capabilities=(tool,))
        return resolve(request, Catalogue(), POLICY)

    told = words(client("Pick a file."), client("Pick a file!"))
    assert ("'pick' has another definition: description", "") in told


def test_a_tool_that_stays_denied_for_another_rule_says_which() -> None:
    before = document("no_such_tool")
    lacking = before.denials[0].model_copy(update={"rule": "target.missing", "reason": "none here"})
    after = before.model_copy(update={"denials": (lacking,)})
    assert words(before, after) == [
        (
            "'no_such_tool' is denied for another reason",
            "the rule target.missing: none here, before by the rule catalogue.unknown",
        )
    ]


def test_another_principal_and_another_target_are_told() -> None:
    before = document("bash")
    after = before.model_copy(update={"principal": "bob", "target": {"kind": "workspace", "name": "other"}})
    assert [change.name for change in changes(before, after)] == ["principal", "target"]
