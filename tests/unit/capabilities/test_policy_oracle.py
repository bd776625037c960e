"""INJ-06 and RCP-04: random policies against plain Python, and what replay says of changed ones."""

from random import Random

import pytest

from capabilities.policy import Policy
from capabilities.replay import Recorded, Replay
from protocol.digest import canonical
from tests.unit.capabilities.policy_worlds import (
    a_question,
    expected,
    mutated,
    rules,
    text_of,
)


def compare(seeds: range) -> None:
    """Each policy as it was written, and as the records give it back with its rules in another order."""
    for seed in seeds:
        random = Random(seed)
        known = rules(random)
        policy = Policy.load([("a", text_of(known))])
        shuffled = text_of(random.sample(known, len(known)))
        kept = Policy.restore(canonical({"texts": [{"name": "a", "text": shuffled}]}))
        question = a_question(random)
        verdict, again = policy.decide(question), kept.decide(question)
        assert (verdict.answer, verdict.rules) == expected(known, question), seed
        assert (again.answer, again.rules) == (verdict.answer, verdict.rules), seed


def test_inj_06_random_policies_answer_as_their_plain_conditions_do() -> None:
    compare(range(80))


@pytest.mark.slow
def test_inj_06_ten_thousand_random_policies_answer_as_their_plain_conditions_do() -> None:
    compare(range(1_000, 11_000))


def test_inj_06_a_forbid_beats_every_permit_and_an_unknown_tool_is_denied() -> None:
    for seed in range(100):
        random = Random(seed)
        known = [rule._replace(tool="bash") for rule in rules(random)]
        unknown = Policy.load([("a", text_of(known))]).decide(a_question(random, tool="unheard_of"))
        assert (unknown.answer, unknown.rules) == ("deny", ("policy.default",))
        forbid = '@id("never") forbid (principal, action, resource is Tool);'
        policy = Policy.load([("a", text_of(rules(random))), ("b", forbid)])
        verdict = policy.decide(a_question(random))
        assert verdict.answer == "deny"
        assert "never" in verdict.rules


def replayed(seeds: range) -> int:
    """How many verdicts change over all mutants; each mutant is compared with plain conditions."""
    changed = 0
    for seed in seeds:
        random = Random(seed)
        known = rules(random)
        policy = Policy.load([("a", text_of(known))])
        recorded: list[Recorded] = []
        for number in range(12):
            question = a_question(random)
            verdict = policy.decide(question)
            recorded.append(Recorded("run_1", number, None, question, verdict.answer, verdict.rules))
        assert list(Replay().changes(recorded, policy)) == []
        other = mutated(random, known)
        changes = list(Replay().changes(recorded, Policy.load([("a", text_of(other))])))
        wanted = [one for one in recorded if expected(other, one.question)[0] != one.answer]
        assert [change.was for change in changes] == wanted, seed
        told = [(change.now.answer, change.now.rules) for change in changes]
        assert told == [expected(other, one.question) for one in wanted], seed
        changed += len(changes)
    return changed


def test_rcp_04_a_mutant_is_replayed_as_its_plain_conditions_say() -> None:
    assert replayed(range(40)) > 10


@pytest.mark.slow
def test_rcp_04_each_of_500_mutants_is_replayed_as_its_plain_conditions_say() -> None:
    assert replayed(range(500)) > 300
