"""Who must agree: read out of the annotations of the rules that ask, the strictest of all."""

import pytest

from capabilities.gate import Ask, Deny
from capabilities.policy import Policy
from capabilities.required import ask_whom, fault_in
from protocol.checkpoint import Required
from protocol.errors import InvalidRequest

ASK = Ask(rule="one", reason="somebody must agree")

RULES = """
@id("one") @approver_role("release") @approvals("2")
forbid (principal, action == Action::"invoke_unattended", resource);
@id("two") @approvals("3") @not_requester("true") permit (principal, action, resource);
@id("three") @approver_role("finance") permit (principal, action, resource);
@id("plain") permit (principal, action, resource);
@id("broken") @approvals("many") permit (principal, action, resource);
"""


def asked(*rules: str, first: str = "plain") -> Ask | Deny:
    policy = Policy.load([("team.cedar", RULES.replace('@approvals("many")', ""))])
    return ask_whom(ASK.model_copy(update={"rule": first}), rules, policy.annotations)


def required(*rules: str) -> Required:
    answer = asked(*rules)
    assert isinstance(answer, Ask)
    return answer.required


def test_a_rule_without_annotations_wants_one_person_whoever_it_is() -> None:
    assert required("plain") == Required(role=None, count=1, not_requester=False)


def test_the_annotations_of_the_rule_that_asks_say_who_must_agree() -> None:
    assert required("one") == Required(role="release", count=2)


def test_of_several_rules_the_strictest_words_hold_in_any_order() -> None:
    whole = Required(role="release", count=3, not_requester=True)
    assert required("one", "two", "plain") == required("two", "plain", "one") == whole


def test_two_roles_at_once_are_denied_and_not_chosen_from() -> None:
    answer = asked("one", "three")
    assert answer == Deny(
        rule="three",
        reason="one rule wants the approval of a 'release', this one that of a 'finance'",
    )


def test_a_rule_of_ours_that_is_in_no_file_wants_one_person() -> None:
    assert asked(first="definition.drift") == Ask(rule="definition.drift", reason=ASK.reason)


NONSENSE = {
    "approvals": ("", "0", "-1", "1.5", "two", "21", " 2", "02", "1e1", "٢", "9" * 30),
    "approver_role": ("", " ", "a b", "a,b", "re\u200blease", "-x", "x" * 65),
    "not_requester": ("", "yes", "True", "1", "null"),
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in NONSENSE for value in NONSENSE[name]])
def test_a_value_that_says_nothing_is_a_fault_and_never_read_as_less(name: str, value: str) -> None:
    assert name in (fault_in(name, value) or "")
    assert isinstance(ask_whom(ASK, (), lambda rule: {name: value}), Deny)


@pytest.mark.parametrize("name", ["approval", "approvers", "aprovals", "approver_roles", "not_requestor"])
def test_a_misspelt_name_is_a_fault(name: str) -> None:
    assert "did you mean @" in (fault_in(name, "2") or "")


def test_other_annotations_are_somebody_else_s() -> None:
    others = {"id": "x", "reason": "because", "owner": "team", "approvals": "20"}
    assert [fault_in(name, value) for name, value in others.items()] == [None] * 4


def test_a_text_is_refused_with_the_line_of_its_nonsense() -> None:
    before = """// @approvals("none")
@id("a") @reason("@approvals(\\"none\\")")
permit (principal, action, resource);
"""
    Policy.load([("team.cedar", before)])
    for words in ('@approvals("none")', "@approvals", '@ approvals\n ( "0" )', '@aprovals("2")'):
        with pytest.raises(InvalidRequest) as refused:
            Policy.load([("team.cedar", f'{before}@id("b") {words} permit (principal, action, resource);')])
        assert refused.value.details == {"file": "team.cedar", "line": 4}
