"""Tables of cases beside a policy."""

import pytest

from capabilities.policy import Policy, shipped
from capabilities.policy_cases import read_cases, tried
from protocol.errors import InvalidRequest

TABLE = """
policies = ["team.cedar"]

[[case]]
name = "a command runs"
tool = "bash"
source = "target"
effect = "workspace"
target = "workspace"
arguments = { command = "ls" }
expect = "allow"
rule = "default.workspace"

[[case]]
name = "a push is denied"
tool = "git_push"
source = "forge"
effect = "non_idempotent_write"
roles = ["operator"]
expect = "deny"
"""


def test_each_case_holds_or_shows_the_verdict_that_came_instead() -> None:
    cases = read_cases(TABLE, "cases.toml")
    assert cases.policies == ("team.cedar",)
    first, second = tried(cases, Policy.load([shipped()]))
    assert first.held
    assert not second.held
    assert (second.verdict.answer, second.verdict.rule) == ("ask", "default.outward")
    other_rule = TABLE.replace("default.workspace", "default.read")
    assert not tried(read_cases(other_rule, "cases.toml"), Policy.load([shipped()]))[0].held


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "case"),
        ("[[case]", "cases.toml"),
        (TABLE + 'rolls = ["x"]', "rolls"),
        (TABLE.replace('"deny"', '"refuse"'), "expect"),
    ],
)
def test_a_table_that_does_not_read_is_refused_with_the_field(text: str, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_cases(text, "cases.toml")
