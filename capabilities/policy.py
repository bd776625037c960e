"""Policy: Cedar rules, asked twice. The only file that loads the policy engine.

May it be invoked at all, and may it be invoked unattended? Both yes is allow, the first only is ask, none is
deny. What cannot be evaluated is denied: Cedar skips a rule that fails, and a skipped `forbid` stands open.
"""

import importlib.metadata
import json
import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import cedarpy

from capabilities.verdict import NO_RULE, Answer, PolicyQuestion, Verdict
from protocol.digest import MAX_SAFE, canonical, digest_bytes
from protocol.errors import InvalidRequest
from protocol.noun import JSON, JSONObject, Noun
from protocol.strict import parse

ENGINE = f"cedarpy {importlib.metadata.version('cedarpy')}"

_TOKEN = re.compile(r'//[^\n]*|"(?:[^"\\]|\\.)*"|;', re.DOTALL)
_BLANK = re.compile(r"(?:\s|//[^\n]*(?:\n|$))*")
_RULE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,127}")
_ERRED = re.compile(r"`policy(\d+)`")
_ESCAPES = frozenset({"__entity", "__extn", "__expr"})
_ENTITIES_KEPT = 1024


class Policy:
    """One immutable version of all rules: parsed once, named by the digest of its texts."""

    def __init__(
        self,
        texts: Sequence[tuple[str, str]],
        rules: dict[str, dict[str, str]],
        parsed: cedarpy.PolicySet,
    ) -> None:
        self._texts = tuple(texts)
        self._rules = tuple(rules)
        self._annotations = rules
        self._parsed = parsed
        self._entities = lru_cache(maxsize=_ENTITIES_KEPT)(_entities)
        self.digest = digest_bytes(self.document())
        self.engine = ENGINE

    @classmethod
    def load(cls, texts: Sequence[tuple[str, str]]) -> "Policy":
        """Rules out of named texts, in order; a text that does not read is refused with its name and line."""
        rules: dict[str, dict[str, str]] = {}
        stands: dict[str, str] = {}
        for name, text in texts:
            for statement in _statements(name, text):
                annotations = _annotations(statement)
                rule = annotations["id"]
                if rule in rules:
                    raise _invalid(statement, f"the rule id {rule!r} stands already at {stands[rule]}")
                rules[rule] = annotations
                stands[rule] = f"{name}:{statement.line}"
        whole = "\n".join(text for _, text in texts)
        try:
            return cls(texts, rules, cedarpy.PolicySet.from_str(whole))
        except ValueError as error:
            raise InvalidRequest("policy.invalid", f"the policy does not read as a whole: {error}") from error

    @classmethod
    def restore(cls, document: bytes) -> "Policy":
        """The version whose `document()` was kept under its digest."""
        return cls.load([(text.name, text.text) for text in parse(_Document, document).texts])

    def document(self) -> bytes:
        """The bytes that `digest` is taken over."""
        return canonical(_Document(texts=tuple(_Text(name=name, text=text) for name, text in self._texts)))

    def annotations(self, rule: str) -> dict[str, str]:
        """What stands before a rule as `@name("value")`, by its id; nothing for a rule that is not here."""
        return dict(self._annotations.get(rule, {}))

    def decide(self, question: PolicyQuestion) -> Verdict:
        try:
            context = _context(question)
        except ValueError as error:
            return self._verdict("deny", ("policy.arguments",), str(error))
        invoke, unattended = self._ask(question, context)
        for asked in (invoke, unattended):
            if asked.errors:
                return self._verdict("deny", asked.erred, asked.errors)
        if not invoke.allowed:
            reason = "a rule forbids it" if invoke.rules else "no rule permits it"
            return self._verdict("deny", invoke.rules or (NO_RULE,), f"{question.tool!r}: {reason}")
        if not unattended.allowed:
            return self._verdict(
                "ask",
                unattended.rules or invoke.rules,
                f"{question.tool!r} may be invoked, but not unattended",
            )
        return self._verdict("allow", unattended.rules, f"{question.tool!r} may be invoked unattended")

    def _ask(self, question: PolicyQuestion, context: JSONObject) -> "tuple[_Asked, _Asked]":
        entities = self._entities(
            question.principal.id,
            question.principal.roles,
            question.tool,
            tuple(
                sorted(
                    {
                        **question.attributes,
                        "kind": question.kind,
                        "source": question.source,
                        "effect": question.effect,
                    }.items()
                )
            ),
        )
        request = {
            "principal": {"type": "Principal", "id": question.principal.id},
            "resource": {"type": "Tool", "id": question.tool},
            "context": json.dumps(context),
        }
        questions = [
            {**request, "action": {"type": "Action", "id": action}}
            for action in ("invoke", "invoke_unattended")
        ]
        first, second = cedarpy.is_authorized_batch(questions, self._parsed, entities)
        return self._asked(first), self._asked(second)

    def _asked(self, result: cedarpy.AuthzResult) -> "_Asked":
        reasons, errors = result.diagnostics.reasons, result.diagnostics.errors
        rules = sorted(self._rules[int(reason.removeprefix("policy"))] for reason in reasons)
        erred = sorted({self._rules[int(number)] for number in _ERRED.findall(" ".join(errors))})
        words = "; ".join(_ERRED.sub(lambda found: repr(self._rules[int(found[1])]), text) for text in errors)
        if words and "attribute `arguments`" in words:
            words += " (while a snapshot is resolved there are none: write `context has arguments && ...`)"
        return _Asked(result.allowed, tuple(rules), words, tuple(erred) or ("policy.error",))

    def _verdict(self, answer: Answer, rules: tuple[str, ...], reason: str) -> Verdict:
        return Verdict(answer=answer, rules=rules, reason=reason, policy_digest=self.digest)


def shipped() -> tuple[str, str]:
    """The default rules that come with the product, by name."""
    name = "default_policy.cedar"
    return name, resources.files("capabilities").joinpath(name).read_text(encoding="utf-8")


class _Text(Noun):
    name: str
    text: str


class _Document(Noun):
    texts: tuple[_Text, ...]


class _Asked(NamedTuple):
    allowed: bool
    rules: tuple[str, ...]
    errors: str
    erred: tuple[str, ...]


class _Statement(NamedTuple):
    name: str
    line: int
    text: str


def _statements(name: str, text: str) -> list[_Statement]:
    """The rules of a text, each with the line that it starts on: Cedar's own faults name no line."""
    ends = [token.end() for token in _TOKEN.finditer(text) if token[0] == ";"]
    found: list[_Statement] = []
    at = _skip(text, 0)
    while at < len(text):
        end = next((end for end in ends if end > at), len(text))
        found.append(_Statement(name, text.count("\n", 0, at) + 1, text[at:end]))
        at = _skip(text, end)
    return found


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _annotations(statement: _Statement) -> dict[str, str]:
    try:
        parsed = json.loads(cedarpy.policies_to_json_str(statement.text))
    except ValueError as error:
        raise _invalid(statement, str(error)) from error
    if parsed["templates"]:
        raise _invalid(statement, "a template permits nothing until it is linked; write it out")
    [rule] = parsed["staticPolicies"].values()
    annotations = {name: value or "" for name, value in rule.get("annotations", {}).items()}
    if not _RULE_ID.fullmatch(annotations.get("id", "")):
        raise _invalid(statement, 'a rule needs a name of its own: @id("letters, digits, . _ : / -")')
    return annotations


def _invalid(statement: _Statement, why: str) -> InvalidRequest:
    return InvalidRequest(
        "policy.invalid",
        f"{statement.name}, line {statement.line}: {why}",
        param=statement.name,
        details={"file": statement.name, "line": statement.line},
    )


def _entities(
    principal: str, roles: tuple[str, ...], tool: str, attributes: tuple[tuple[str, str], ...]
) -> cedarpy.Entities:
    parents = [{"type": "Role", "id": role} for role in roles]
    entities = [
        {"uid": {"type": "Principal", "id": principal}, "attrs": {}, "parents": parents},
        {"uid": {"type": "Tool", "id": tool}, "attrs": dict(attributes), "parents": []},
    ]
    return cedarpy.Entities.from_json_str(json.dumps(entities))


def _context(question: PolicyQuestion) -> JSONObject:
    context: JSONObject = {"labels": list(question.labels)}
    if question.target is not None:
        context["target"] = question.target
    if question.approval is not None:
        context["approval"] = question.approval
    if question.repository is not None:
        context["repository"] = question.repository.model_dump(mode="json")
    if question.arguments is not None:
        context["arguments"] = _cedar(question.arguments)
    return context


def _cedar(value: JSON) -> JSON:
    """A JSON value in Cedar's words: no null (left out), no fractions (their text), lists are sets.

    Keys that Cedar's JSON reads as entities or extension calls are refused: an argument stays a value.
    """
    if isinstance(value, dict):
        taken = _ESCAPES.intersection(value)
        if taken:
            raise ValueError(f"an argument may not have the key {min(taken)!r}")
        return {key: _cedar(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [_cedar(item) for item in value if item is not None]
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= MAX_SAFE else canonical(value).decode()
    return value
