"""Words that the schema does not have are refused at load, with the line that they stand in."""

import pytest

from capabilities.policy import Policy, shipped
from capabilities.policy_schema import schema_fault
from capabilities.policy_text import rules_of
from capabilities.verdict import Asker, PolicyQuestion
from protocol.errors import InvalidRequest

ARGUMENT = "context has arguments && context.arguments has x"
TOOL = "permit (principal, action, resource is Tool)"


@pytest.mark.parametrize(
    ("rule", "line", "words"),
    [
        (f'{TOOL}\nwhen {{ resource.sorce == "x" }};', 3, "`sorce`"),
        (f'{TOOL}\nwhen {{ resource has sever\n  && resource.sever == "x" }};', 3, "`sever`"),
        (f'{TOOL}\nwhen {{ {ARGUMENT} &&\n  resource.sorce == "x" }};', 4, "`sorce`"),
        (f"{TOOL}\nwhen {{ {ARGUMENT} &&\n  context.arguments.x == resource.sorce }};", 4, "`sorce`"),
        (f'{TOOL}\nwhen {{ context has repository &&\n  context.repository.forg == "x" }};', 4, "forg"),
        (f'{TOOL}\nunless {{ principal.rol == "x" }};', 3, "`rol`"),
        (f'{TOOL}\nwhen {{ context.repository.forge == "x" }};', 3, "guard it"),
        (
            f'{TOOL}\nwhen {{ context has arguments && context.arguments.x == "y" }};',
            3,
            "guard each argument",
        ),
        (f"{TOOL}\nwhen {{ resource.effect == 3 }};", 1, "not compatible"),
        ("forbid (principal, action,\n resource is Tol);", 3, "`Tol`"),
        ('forbid (principal in\n Rle::"x", action, resource);', 3, "`Rle`"),
        ('forbid (principal,\n action == Action::"invoek", resource);', 3, "invoek"),
        ('forbid (principal, action == Action::"write", resource == Tool::"bash");', 1, "applicable action"),
    ],
)
def test_a_misspelt_word_is_refused_with_its_line(rule: str, line: int, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        Policy.load([shipped(), ("own.cedar", f'@id("own.a")\n{rule}')])
    assert refused.value.code == "policy.invalid"
    assert refused.value.details == {"file": "own.cedar", "line": line}
    assert words in refused.value.message


@pytest.mark.parametrize(
    "condition",
    [
        'resource is Tool && resource has server && resource.server == "github"',
        'resource in McpServer::"github" && principal in Project::"proj_1"',
        f'{ARGUMENT} && context.arguments.x like "*y" && context.labels.contains("untrusted")',
        f"(if {ARGUMENT} then context.arguments.x else 5) > 3",
        f"{ARGUMENT} && ip(context.arguments.x).isLoopback()",
        f"!({ARGUMENT}) || context.arguments.x.deep has y && context.arguments.x.deep.y",
        "context has repository && !context.repository.branch_granted",
    ],
)
def test_open_arguments_and_guarded_words_fit(condition: str) -> None:
    [rule] = rules_of("own", f'@id("a") forbid (principal, action, resource) when {{ {condition} }};')
    fault = schema_fault(rule.statement.text, rule.parsed)
    assert fault is None


def test_a_kept_version_comes_back_though_the_schema_knows_its_words_no_longer() -> None:
    document = b'{"texts":[{"name":"old","text":"@id(\\"a\\") permit(principal, action, resource) when '
    document += b'{ resource has old && resource.old == \\"x\\" };"}]}'
    question = PolicyQuestion(
        principal=Asker(id="prin_1"),
        tool="bash",
        source="target",
        effect="workspace",
        attributes={"old": "x"},
    )
    assert Policy.restore(document).decide(question).answer == "allow"


SEARCH = PolicyQuestion(
    principal=Asker(id="prin_1", roles=("operator",), project="proj_1"),
    tool="vault_search",
    kind="vault",
    source="native",
    effect="read_only",
    attributes={"vault": "company"},
)
WRITE = SEARCH.model_copy(update={"tool": "vault_write", "effect": "idempotent_write"})
BASH = SEARCH.model_copy(update={"tool": "bash", "source": "target", "target": "workspace", "attributes": {}})


@pytest.mark.parametrize(
    ("rule", "search", "write", "bash"),
    [
        ('action == Action::"write", resource == Vault::"company"', "allow", "deny", "allow"),
        ('action == Action::"read", resource is Vault', "deny", "ask", "allow"),
        ('action == Action::"place", resource == Target::"workspace"', "allow", "ask", "deny"),
        ('action, resource in Vault::"company"', "deny", "deny", "allow"),
        ('action == Action::"write", resource == Vault::"other"', "allow", "ask", "allow"),
    ],
)
def test_what_a_tool_acts_on_can_be_forbidden(rule: str, search: str, write: str, bash: str) -> None:
    own = f'@id("own.no") forbid (principal in Project::"proj_1", {rule});'
    policy = Policy.load([shipped(), ("own.cedar", own)])
    assert [policy.decide(one).answer for one in (SEARCH, WRITE, BASH)] == [search, write, bash]
    denied = [one for one in (SEARCH, WRITE, BASH) if policy.decide(one).answer == "deny"]
    assert all(policy.decide(one).rules == ("own.no",) for one in denied)
