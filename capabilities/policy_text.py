"""The text of a policy: its rules one by one, each with its annotations and the line that it starts on."""

import json
import re
from collections.abc import Sequence
from typing import NamedTuple, cast

import cedarpy

from capabilities.policy_schema import schema_fault
from capabilities.required import fault_in
from protocol.errors import InvalidRequest
from protocol.noun import JSONObject

_TOKEN = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"|;', re.DOTALL)
_BLANK = re.compile(r"(?:\s|//[^\n]*(?:\n|$))*")
_RULE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")


class Statement(NamedTuple):
    name: str
    line: int
    text: str


class Rule(NamedTuple):
    """One rule as it was read: `parsed` is Cedar's JSON of it."""

    statement: Statement
    annotations: dict[str, str]
    parsed: JSONObject

    @property
    def id(self) -> str:
        return self.annotations["id"]

    @property
    def forbids(self) -> bool:
        [rule] = cast(dict[str, JSONObject], self.parsed["staticPolicies"]).values()
        return rule["effect"] == "forbid"


def rules_of(name: str, text: str) -> list[Rule]:
    """The rules of a text; one that does not read is refused with its line."""
    return [_rule(statement) for statement in _statements(name, text)]


def check_words(rule: Rule) -> None:
    """Raises InvalidRequest for a rule that speaks of what the schema does not have, or that does not say who
    must agree."""
    for name, value in rule.annotations.items():
        why = fault_in(name, value)
        if why is not None:
            raise _invalid_at(rule, (rf"@\s*{re.escape(name)}\b",), why)
    fault = schema_fault(rule.statement.text, rule.parsed)
    if fault is not None:
        words = tuple(rf"\b{re.escape(word)}\b" for word in fault.words)
        raise _invalid_at(rule, words, f"{rule.id!r}: {fault.why}")


def _invalid_at(rule: Rule, patterns: Sequence[str], why: str) -> InvalidRequest:
    """With the line of what matches the first pattern that anything matches."""
    text = rule.statement.text
    found = [hit.start() for pattern in patterns if (hit := re.search(pattern, text))]
    lines = text.count("\n", 0, found[0]) if found else 0
    return invalid(rule.statement._replace(line=rule.statement.line + lines), why)


def invalid(statement: Statement, why: str) -> InvalidRequest:
    return InvalidRequest(
        "policy.invalid",
        f"{statement.name}, line {statement.line}: {why}",
        param=statement.name,
        details={"file": statement.name, "line": statement.line},
    )


def _statements(name: str, text: str) -> list[Statement]:
    """Cedar's own faults name no line, so each rule is read by itself."""
    ends = [token.end() for token in _TOKEN.finditer(text) if token[0] == ";"]
    found: list[Statement] = []
    at = _skip(text, 0)
    while at < len(text):
        end = next((end for end in ends if end > at), len(text))
        found.append(Statement(name, text.count("\n", 0, at) + 1, text[at:end]))
        at = _skip(text, end)
    return found


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _rule(statement: Statement) -> Rule:
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(statement.text))
    except ValueError as error:
        raise invalid(statement, str(error)) from error
    if parsed["templates"]:
        raise invalid(statement, "a template permits nothing until it is linked; write it out")
    [rule] = parsed["staticPolicies"].values()
    annotations = {name: value or "" for name, value in rule.get("annotations", {}).items()}
    if not _RULE_ID.fullmatch(annotations.get("id", "")):
        raise invalid(statement, 'a rule needs a name of its own: @id("letters, digits, . _ : / -")')
    return Rule(statement, annotations, parsed)
