"""Two questions, three answers."""

import re
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pytest

from capabilities.policy import Policy, shipped
from capabilities.verdict import Asker, PolicyQuestion, RepositoryFacts, Verdict
from protocol.errors import InvalidRequest
from protocol.noun import JSONObject

OPERATOR = Asker(id="prin_1", roles=("operator",))
BASH = PolicyQuestion(
    principal=OPERATOR, tool="bash", source="target", effect="workspace", target="workspace"
)
PUSH = PolicyQuestion(principal=OPERATOR, tool="git_push", source="forge", effect="non_idempotent_write")


def policy(*texts: str) -> Policy:
    return Policy.load([shipped(), *((f"own{index}.cedar", text) for index, text in enumerate(texts))])


def decided(own: str, question: PolicyQuestion) -> tuple[str, tuple[str, ...]]:
    verdict = policy(own).decide(question)
    return verdict.answer, verdict.rules


def with_arguments(question: PolicyQuestion, arguments: JSONObject) -> PolicyQuestion:
    return question.model_copy(update={"arguments": arguments})


@pytest.mark.parametrize(
    ("source", "effect", "answer", "rule"),
    [
        ("target", "read_only", "allow", "default.read"),
        ("native", "read_only", "allow", "default.read"),
        ("client", "read_only", "allow", "default.read"),
        ("target", "workspace", "allow", "default.workspace"),
        ("target", "idempotent_write", "ask", "default.outward"),
        ("target", "non_idempotent_write", "ask", "default.outward"),
        ("target", "unknown", "ask", "default.outward"),
        ("client", "workspace", "ask", "default.outward"),
        ("client", "unknown", "ask", "default.outward"),
        ("native", "non_idempotent_write", "ask", "default.outward"),
        ("forge", "non_idempotent_write", "ask", "default.outward"),
        ("forge", "read_only", "ask", "default.outward"),
        ("plugin", "unknown", "deny", "policy.default"),
        ("provider", "read_only", "deny", "policy.default"),
    ],
)
def test_the_shipped_policy(source: str, effect: str, answer: str, rule: str) -> None:
    question = PolicyQuestion.model_validate(
        {"principal": {"id": "prin_1"}, "tool": "any", "source": source, "effect": effect}
    )
    verdict = policy().decide(question)
    assert (verdict.answer, verdict.rule) == (answer, rule)


def test_a_verdict_names_its_rules_its_reason_and_its_policy() -> None:
    rules = policy()
    assert rules.decide(PUSH) == Verdict(
        answer="ask",
        rules=("default.outward",),
        reason="'git_push' may be invoked, but not unattended",
        policy_digest=rules.digest,
    )


def test_without_any_rule_everything_is_denied() -> None:
    verdict = Policy.load([]).decide(BASH)
    assert (verdict.answer, verdict.rules) == ("deny", ("policy.default",))


def test_another_branch_than_the_granted_one_is_forbidden() -> None:
    facts = RepositoryFacts(
        forge="forge", repository="forge/demo", base="main", branch="x", branch_granted=False
    )
    verdict = policy().decide(PUSH.model_copy(update={"repository": facts}))
    assert (verdict.answer, verdict.rules) == ("deny", ("default.granted-branch",))


def test_a_file_of_yours_may_permit_more_to_a_role() -> None:
    own = '@id("own.push") permit(principal in Role::"operator", action, resource == Tool::"git_push");'
    assert decided(own, PUSH) == ("allow", ("own.push",))
    assert decided(own, PUSH.model_copy(update={"principal": Asker(id="prin_2")})) == (
        "ask",
        ("default.outward",),
    )


def test_a_forbid_beats_every_permit() -> None:
    own = '@id("own.no") forbid(principal, action, resource == Tool::"bash");'
    assert decided(own, BASH) == ("deny", ("own.no",))


def test_a_forbid_of_the_unattended_question_makes_a_call_ask() -> None:
    own = '@id("own.ask") forbid(principal, action == Action::"invoke_unattended", resource == Tool::"bash");'
    assert decided(own, BASH) == ("ask", ("own.ask",))


def test_conditions_on_arguments_hold_when_there_are_arguments() -> None:
    own = """@id("own.rm") forbid(principal, action, resource == Tool::"bash")
    when { context has arguments && context.arguments has command
        && context.arguments.command like "*rm -rf*" };"""
    assert decided(own, BASH) == ("allow", ("default.workspace",))
    assert decided(own, with_arguments(BASH, {"command": "ls"})) == ("allow", ("default.workspace",))
    assert decided(own, with_arguments(BASH, {"command": "rm -rf /"})) == ("deny", ("own.rm",))


WRONG_TYPE = "context has arguments && context.arguments has x && context.arguments.x > 1"


def test_a_rule_that_cannot_be_evaluated_denies() -> None:
    own = f'@id("own.bad") forbid(principal, action, resource) when {{ {WRONG_TYPE} }};'
    assert decided(own, with_arguments(BASH, {"x": 1})) == ("allow", ("default.workspace",))
    assert decided(own, with_arguments(BASH, {"x": "y"})) == ("deny", ("own.bad",))


def test_a_rule_that_fails_only_in_the_second_question_denies_too() -> None:
    own = f"""@id("own.bad") forbid(principal, action == Action::"invoke_unattended", resource)
    when {{ {WRONG_TYPE} }};"""
    assert decided(own, with_arguments(BASH, {"x": "y"})) == ("deny", ("own.bad",))


@pytest.mark.parametrize(
    ("value", "condition"),
    [
        (None, "!(context.arguments has x)"),
        (1.5, 'context.arguments.x == "1.5"'),
        (2.0, "context.arguments.x == 2"),
        (1e300, 'context.arguments.x == "1e+300"'),
        ([1, None, 1], "context.arguments.x == [1]"),
        ({"y": None, "z": True}, "context.arguments.x == {z: true}"),
        ("\u202e\u0000", 'context.arguments.x == "\\u{202e}\\0"'),
    ],
)
def test_arguments_reach_a_rule_in_the_words_of_cedar(value: object, condition: str) -> None:
    there = "" if condition.startswith("!") else "context.arguments has x && "
    when = f"context has arguments && {there}{condition}"
    own = f'@id("own.seen") forbid(principal, action, resource) when {{ {when} }};'
    question = BASH.model_copy(update={"arguments": {"x": value}})
    assert decided(own, question) == ("deny", ("own.seen",))


@pytest.mark.parametrize("key", ["__entity", "__extn", "__expr"])
def test_an_argument_cannot_pass_for_an_entity(key: str) -> None:
    verdict = policy().decide(with_arguments(BASH, {"x": [{key: {"type": "Role", "id": "admin"}}]}))
    assert (verdict.answer, verdict.rules) == ("deny", ("policy.arguments",))


@pytest.mark.parametrize("name", ['x"', "a\nb", 'Tool::"bash"', "é", ""])
def test_names_from_outside_cannot_break_out_of_their_place(name: str) -> None:
    asker = Asker(id=name, roles=(name,))
    verdict = policy().decide(BASH.model_copy(update={"tool": name, "principal": asker}))
    assert verdict.answer == "allow"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('@id("a") permit(principal, action, resource)\n;\n\n// x\n@id("b") permit(principal);', 5, ""),
        ("\npermit(principal, action, resource);", 2, "a name of its own"),
        ('@id("a b") permit(principal, action, resource);', 1, "a name of its own"),
        ('@id("a") permit(principal, action, resource) when { "open };', 1, "invalid token"),
        ('\n\n@id("a")\npermit(principal, action, resource)', 3, "unexpected end"),
        ('@id("a") permit(principal, action, resource) when { nope(1) };', 1, "nope"),
        ('@id("a") permit(principal == ?principal, action, resource);', 1, "template"),
        ('@id("default.read") permit(principal, action, resource);', 1, "default_policy.cedar:4"),
        ("not cedar", 1, ""),
    ],
)
def test_a_text_that_does_not_read_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        policy(text)
    assert refused.value.code == "policy.invalid"
    assert refused.value.details == {"file": "own0.cedar", "line": line}
    assert f"own0.cedar, line {line}: " in refused.value.message
    assert words in refused.value.message


def test_semicolons_in_strings_and_comments_end_no_rule() -> None:
    own = """// one; "two
    @id("own.a") forbid(principal, action, resource) when { context has arguments && // "three;
        context.arguments has command && context.arguments.command == "a;b\\";c" };"""
    assert decided(own, with_arguments(BASH, {"command": 'a;b";c'})) == ("deny", ("own.a",))


def test_a_version_is_its_texts_and_comes_back_from_its_document() -> None:
    own = '@id("own.no") forbid(principal, action, resource == Tool::"bash");'
    first = policy(own)
    again = Policy.restore(first.document())
    assert again.digest == first.digest != policy().digest
    assert again.decide(BASH) == first.decide(BASH)


@pytest.mark.parametrize("document", [b"{}", b"[1]", b"", b'{"texts": [{"name": "a"}]}'])
def test_a_document_that_is_no_policy_is_refused(document: bytes) -> None:
    with pytest.raises(InvalidRequest):
        Policy.restore(document)


def test_what_is_annotated_to_a_rule_is_found_by_its_id() -> None:
    rules = policy('@id("own.two") @approvals("2") @plain permit(principal, action, resource);')
    assert rules.annotations("own.two") == {"id": "own.two", "approvals": "2", "plain": ""}
    assert rules.annotations("default.read") == {"id": "default.read"}
    assert rules.annotations("no.such.rule") == {}


def test_the_engine_names_its_version() -> None:
    assert policy().engine.startswith("cedarpy 4.")


def test_only_the_policy_loads_the_policy_engine() -> None:
    files = {entry.name for entry in resources.files("capabilities").iterdir() if entry.name.endswith(".py")}
    imports = "; ".join(
        f"import capabilities.{name[:-3]}" for name in sorted(files) if not name.startswith("policy")
    )
    script = f"import sys; {imports}; sys.exit('cedarpy' in sys.modules)"
    assert len(files) > 5
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_the_examples_of_the_documentation_load_and_do_what_they_say() -> None:
    page = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
    examples = re.findall(r"```cedar\n(.*?)```", page, re.DOTALL)
    facts = RepositoryFacts(forge="forge", repository="forge/demo", base="main", branch="x")
    pushed = PUSH.model_copy(update={"repository": facts})
    service = BASH.model_copy(update={"principal": Asker(id="prin_2", roles=("service",))})
    opened = PUSH.model_copy(update={"tool": "open_pull_request"})

    def example(rule: str, question: PolicyQuestion) -> tuple[str, str]:
        verdict = policy(next(text for text in examples if f'"{rule}"' in text)).decide(question)
        return verdict.answer, verdict.rule

    assert policy(*examples).digest
    assert example("team.push-demo", pushed) == ("allow", "team.push-demo")
    rm = with_arguments(BASH, {"command": "rm -rf build"})
    assert example("team.ask-before-rm", rm) == ("ask", "team.ask-before-rm")
    ls = with_arguments(BASH, {"command": "ls"})
    assert example("team.ask-before-rm", ls) == ("allow", "default.workspace")
    assert example("team.no-pull-requests", opened) == ("deny", "team.no-pull-requests")
    assert example("team.services-ask", service) == ("ask", "team.services-ask")
