"""Where a run is placed and what it spends on: permitted by the shipped rules, forbidden by yours."""

import pytest

from capabilities.placing import check_refusals, placing, refusals, spending
from capabilities.policy import Policy, shipped
from capabilities.verdict import Asker, PolicyQuestion
from protocol.capability import RepositoryGrant
from protocol.errors import Forbidden, InvalidRequest
from protocol.run import Limits, TargetChoice

ASKER = Asker(id="prin_1", roles=("service",), project="proj_1")
TARGET = TargetChoice(kind="workspace", name="dev")
DEMO = RepositoryGrant(forge="f", repository="f/demo", base_branch="main", base_commit="a" * 40, branch="fix")
PLACE = placing(ASKER, TARGET, DEMO, host="host-a", actor="ann")
SPEND = spending(
    ASKER, "open/big", Limits(max_cost_usd=2.5), host="api.example.com", actor="ann", labels=("private",)
)


def policy(own: str = "") -> Policy:
    return Policy.load([shipped(), ("own.cedar", own)])


def forbidden(head: str, condition: str = "") -> list[str]:
    """Which of the two questions a rule with this head refuses."""
    own = f'@id("own.no") forbid (principal in Role::"service", {head}) {condition};'
    denials = refusals(policy(own), [PLACE, SPEND])
    assert all(denial.rule == "own.no" for denial in denials)
    return [denial.kind for denial in denials]


def test_the_shipped_rules_permit_both_by_name() -> None:
    verdicts = [policy().decide(one) for one in (PLACE, SPEND)]
    assert [(verdict.answer, verdict.rules) for verdict in verdicts] == [
        ("allow", ("default.place",)),
        ("allow", ("default.spend",)),
    ]
    assert refusals(policy(), [PLACE, SPEND]) == ()


@pytest.mark.parametrize(
    ("head", "refused"),
    [
        ('action == Action::"place", resource == Target::"dev"', ["place"]),
        ('action == Action::"place", resource == Target::"workspace"', ["place"]),
        ('action == Action::"place", resource == Target::"other"', []),
        ('action == Action::"place", resource == Host::"host-a"', ["place"]),
        ('action == Action::"spend", resource == Host::"host-a"', []),
        ('action == Action::"spend", resource == Host::"api.example.com"', ["spend"]),
        ('action == Action::"spend", resource == Model::"open/big"', ["spend"]),
        ('action == Action::"spend", resource is Model', ["spend"]),
        ('action == Action::"spend", resource == Model::"open/small"', []),
        ('action in [Action::"place", Action::"spend"], resource == Actor::"ann"', ["place", "spend"]),
        ("action, resource is Tool", []),
    ],
)
def test_targets_models_hosts_and_actors_can_be_forbidden(head: str, refused: list[str]) -> None:
    assert forbidden(head) == refused


@pytest.mark.parametrize(
    ("condition", "refused"),
    [
        ("!(context has limits && context.limits has max_cost_microusd)", []),
        ("!(context has limits && context.limits has max_tokens)", ["spend"]),
        (
            "context has limits && context.limits has max_cost_microusd &&"
            " context.limits.max_cost_microusd > 2499999",
            ["spend"],
        ),
        ('context.labels.contains("private")', ["spend"]),
        ('context.labels.contains("untrusted")', []),
    ],
)
def test_what_a_run_may_spend_and_has_read_can_be_asked_for(condition: str, refused: list[str]) -> None:
    assert forbidden('action == Action::"spend", resource is Model', f"when {{ {condition} }}") == refused


def test_a_place_can_be_forbidden_for_a_repository() -> None:
    condition = 'when { context has repository && context.repository.repository == "f/demo" }'
    assert forbidden('action == Action::"place", resource is Target', condition) == ["place"]


def test_what_no_rule_permits_is_denied() -> None:
    bare = Policy.load([("own.cedar", '@id("own.one") permit (principal, action, resource is Target);')])
    assert [(one.kind, one.rule) for one in refusals(bare, [PLACE, SPEND])] == [
        ("place", "policy.default"),
        ("spend", "policy.default"),
    ]


def test_a_rule_that_cannot_be_evaluated_denies() -> None:
    text = '@id("own.odd") forbid (principal, action, resource is Model) when { context.nothing == 1 };'
    odd = Policy.restore(Policy([shipped(), ("own.cedar", text)], ()).document())
    [denial] = refusals(odd, [SPEND])
    assert denial.rule == "own.odd"


@pytest.mark.parametrize(
    "rule",
    [
        'forbid (principal, action == Action::"spend", resource is Tool);',
        'forbid (principal, action == Action::"place", resource is Model);',
        'forbid (principal, action == Action::"spend", resource is Model) when { context has limit };',
        'forbid (principal, action == Action::"spend", resource is Models);',
    ],
)
def test_a_misspelt_word_is_refused(rule: str) -> None:
    with pytest.raises(InvalidRequest, match=r"own\.cedar, line 1"):
        policy(f'@id("own.odd") {rule}')


def test_a_refusal_says_its_rule() -> None:
    own = '@id("own.no") forbid (principal, action == Action::"spend", resource == Model::"open/big");'
    with pytest.raises(Forbidden, match=r"'own\.no' refuses it: spend of Model 'open/big'") as refused:
        check_refusals(refusals(policy(own), [PLACE, SPEND]))
    assert (refused.value.code, refused.value.details) == ("policy.denied", {"rule": "own.no"})


def test_a_question_of_a_run_survives_its_receipt() -> None:
    for question in (PLACE, SPEND):
        told = question.model_dump(mode="json", exclude_none=True)
        assert PolicyQuestion.model_validate(told) == question
