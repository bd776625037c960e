"""Policy: Cedar rules, asked twice. Only the files named `policy*` load the policy engine.

May it be invoked at all, and may it be invoked unattended? Both yes is allow, the first only is ask, none is
deny. What cannot be evaluated is denied: Cedar skips a rule that fails, and a skipped `forbid` stands open.
"""

import importlib.metadata
import json
import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import cedarpy

from capabilities.policy_slice import Slice, Slices
from capabilities.policy_text import Rule, check_words, invalid, rules_of
from capabilities.things import Resource, Thing, things_of
from capabilities.verdict import NO_RULE, Answer, Asker, PolicyQuestion, Verdict
from protocol.digest import MAX_SAFE, canonical, digest_bytes
from protocol.noun import JSON, JSONObject, Noun
from protocol.strict import parse

ENGINE = f"cedarpy {importlib.metadata.version('cedarpy')}"

_ERRED = re.compile(r"`policy(\d+)`")
_ESCAPES = frozenset({"__entity", "__extn", "__expr"})
_KEPT = 1024


class Policy:
    """One immutable version of all rules: parsed once, named by the digest of its texts."""

    def __init__(
        self,
        texts: Sequence[tuple[str, str]],
        rules: Sequence[Rule],
    ) -> None:
        self.texts = tuple(texts)
        self._annotations = {rule.id: rule.annotations for rule in rules}
        self._forbidding = frozenset(rule.id for rule in rules if rule.forbids)
        self._slices = Slices(rules)
        self._entities = lru_cache(maxsize=_KEPT)(_entities)
        self._asked_of = lru_cache(maxsize=_KEPT)(self._ask_of)
        self.digest = digest_bytes(self.document())
        self.engine = ENGINE

    @classmethod
    def load(cls, texts: Sequence[tuple[str, str]]) -> "Policy":
        """Rules out of named texts, in order; a text that does not read is refused with its name and line."""
        return cls._read(texts, check_words)

    @classmethod
    def restore(cls, document: bytes) -> "Policy":
        """The version whose `document()` was kept under its digest, whatever words the schema has by now."""
        return cls._read([(text.name, text.text) for text in parse(_Document, document).texts], _unchecked)

    @classmethod
    def _read(cls, texts: Sequence[tuple[str, str]], check: Callable[[Rule], None]) -> "Policy":
        rules: dict[str, Rule] = {}
        for name, text in texts:
            for rule in rules_of(name, text):
                first = rules.setdefault(rule.id, rule)
                if first is not rule:
                    stands = f"{first.statement.name}:{first.statement.line}"
                    raise invalid(rule.statement, f"the rule id {rule.id!r} stands already at {stands}")
                check(rule)
        return cls(texts, tuple(rules.values()))

    def document(self) -> bytes:
        """The bytes that `digest` is taken over."""
        return canonical(_Document(texts=tuple(_Text(name=name, text=text) for name, text in self.texts)))

    def annotations(self, rule: str) -> dict[str, str]:
        """What stands before a rule as `@name("value")`, by its id; nothing for a rule that is not here."""
        return dict(self._annotations.get(rule, {}))

    def forbids(self, rule: str) -> bool:
        return rule in self._forbidding

    def decide(self, question: PolicyQuestion) -> Verdict:
        if question.kind == "place" or question.kind == "spend":
            return self._of_run(question)
        try:
            context = json.dumps(_context(question))
        except ValueError as error:
            return self._verdict("deny", ("policy.arguments",), str(error))
        invoke, unattended = self._ask(question, context)
        for asked in (invoke, unattended):
            if asked.errors:
                return self._verdict("deny", asked.erred, asked.errors)
        if not invoke.allowed:
            reason = "a rule forbids it" if invoke.rules else "no rule permits it"
            return self._verdict("deny", invoke.rules or (NO_RULE,), f"{question.tool!r}: {reason}")
        for thing, asked in self._of_things(question):
            # the tool itself was permitted by now: of what it acts on, only a `forbid` is heard
            if asked.errors or (asked.rules and not asked.allowed):
                return self._refused(thing, asked)
        if not unattended.allowed:
            return self._verdict(
                "ask",
                unattended.rules or invoke.rules,
                f"{question.tool!r} may be invoked, but not unattended",
            )
        return self._verdict("allow", unattended.rules, f"{question.tool!r} may be invoked unattended")

    def _ask(self, question: PolicyQuestion, context: str) -> "tuple[_Asked, _Asked]":
        who = _who(question.principal)
        resource = Resource("Tool", question.tool)
        attributes = {**question.attributes, "kind": question.kind}
        attributes |= {"source": question.source, "effect": question.effect}
        parents = tuple((thing.resource.type, thing.resource.id) for thing in things_of(question))
        entities = self._entities(who, question.tool, tuple(sorted(attributes.items())), parents)
        questions = [
            _question(who.id, action, resource, context) for action in ("invoke", "invoke_unattended")
        ]
        cut = self._slices.of(question.tool, who.roles)
        first, second = cedarpy.is_authorized_batch(questions, cut.parsed, entities)
        return _asked(cut, first), _asked(cut, second)

    def _of_run(self, question: PolicyQuestion) -> Verdict:
        """All of what the run is put on, or takes, has to be permitted."""
        permitting: list[str] = []
        for thing, asked in self._of_things(question):
            if asked.errors or not asked.allowed:
                return self._refused(thing, asked)
            permitting += asked.rules
        return self._verdict("allow", tuple(dict.fromkeys(permitting)), f"{question.tool!r} is permitted")

    def _of_things(self, question: PolicyQuestion) -> "Iterator[tuple[Thing, _Asked]]":
        things = things_of(question)
        if things:
            who, context = _who(question.principal), json.dumps(_frame(question))
            yield from ((thing, self._asked_of(who, thing, context)) for thing in things)

    def _ask_of(self, who: "_Who", thing: Thing, context: str) -> "_Asked":
        cut = self._slices.whole()
        asked = _question(who.id, thing.action, thing.resource, context)
        return _asked(cut, cedarpy.is_authorized(asked, cut.parsed, self._entities(who, None, (), ())))

    def _refused(self, thing: Thing, asked: "_Asked") -> Verdict:
        if asked.errors:
            return self._verdict("deny", asked.erred, asked.errors)
        why = "a rule forbids it" if asked.rules else "no rule permits it"
        words = f"{thing.action} of {thing.resource.type} {thing.resource.id!r}: {why}"
        return self._verdict("deny", asked.rules or (NO_RULE,), words)

    def _verdict(self, answer: Answer, rules: tuple[str, ...], reason: str) -> Verdict:
        return Verdict(answer=answer, rules=rules, reason=reason, policy_digest=self.digest)


def shipped() -> tuple[str, str]:
    """The default rules that come with the product, by name."""
    name = "default_policy.cedar"
    return name, resources.files("capabilities").joinpath(name).read_text(encoding="utf-8")


def _asked(cut: Slice, result: cedarpy.AuthzResult) -> "_Asked":
    reasons, errors = result.diagnostics.reasons, result.diagnostics.errors
    rules = sorted(cut.rules[int(reason.removeprefix("policy"))] for reason in reasons)
    erred = sorted({cut.rules[int(number)] for number in _ERRED.findall(" ".join(errors))})
    words = "; ".join(_ERRED.sub(lambda found: repr(cut.rules[int(found[1])]), text) for text in errors)
    return _Asked(result.allowed, tuple(rules), words, tuple(erred) or ("policy.error",))


def _unchecked(_: Rule) -> None: ...


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


class _Who(NamedTuple):
    """An asker that entities can be kept for."""

    id: str
    roles: tuple[str, ...]
    project: str | None


def _who(asker: Asker) -> _Who:
    return _Who(asker.id, asker.roles, asker.project)


def _entities(
    who: "_Who",
    tool: str | None,
    attributes: tuple[tuple[str, str], ...],
    parents: tuple[tuple[str, str], ...],
) -> cedarpy.Entities:
    groups: list[JSON] = [{"type": "Role", "id": role} for role in who.roles]
    if who.project is not None:
        groups.append({"type": "Project", "id": who.project})
    principal: JSON = {"type": "Principal", "id": who.id}
    entities: list[JSON] = [{"uid": principal, "attrs": {}, "parents": groups}]
    if tool is not None:
        above: list[JSON] = [{"type": kind, "id": name} for kind, name in parents]
        uid: JSONObject = {"type": "Tool", "id": tool}
        words: JSONObject = dict(attributes)
        entities.append({"uid": uid, "attrs": words, "parents": above})
    return cedarpy.Entities.from_json_str(json.dumps(entities))


def _question(principal: str, action: str, resource: Resource, context: str) -> dict[str, JSON]:
    return {
        "principal": {"type": "Principal", "id": principal},
        "action": {"type": "Action", "id": action},
        "resource": {"type": resource.type, "id": resource.id},
        "context": context,
    }


def _context(question: PolicyQuestion) -> JSONObject:
    context = _frame(question)
    if question.arguments is not None:
        context["arguments"] = _cedar(question.arguments)
    return context


def _frame(question: PolicyQuestion) -> JSONObject:
    """What is the same for each call in the same place."""
    context: JSONObject = {"labels": list(question.labels)}
    if question.target is not None:
        context["target"] = question.target
    if question.approval is not None:
        context["approval"] = question.approval
    if question.repository is not None:
        context["repository"] = question.repository.model_dump(mode="json")
    if question.limits is not None:
        context["limits"] = {**question.limits}
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
