"""Slices of a policy: the rules whose head can match a question, so that the others cost it nothing.

A rule whose head names another tool or another role neither decides nor fails, so leaving it out changes no
answer. Slices are few: tools and roles that no rule names are all alike.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple, cast

import cedarpy

from capabilities.policy_text import Rule
from protocol.noun import JSONObject

_KEPT = 256


class Slice(NamedTuple):
    """`rules` are the ids in the order in which the engine numbers them."""

    rules: tuple[str, ...]
    parsed: cedarpy.PolicySet


class Slices:
    def __init__(self, rules: Sequence[Rule]) -> None:
        self._heads = [
            (rule, _named(rule, "resource", "Tool"), _named(rule, "principal", "Role")) for rule in rules
        ]
        self._tools = {tool for _, tool, _ in self._heads}
        self._roles = frozenset(role for _, _, role in self._heads if role is not None)
        self._cut = lru_cache(maxsize=_KEPT)(self._make)

    def of(self, tool: str, roles: Sequence[str]) -> Slice:
        return self._cut(tool if tool in self._tools else None, self._roles.intersection(roles))

    def whole(self) -> Slice:
        """For questions about other things than tools."""
        return self._cut(None, self._roles)

    def _make(self, tool: str | None, roles: frozenset[str]) -> Slice:
        found = [
            rule
            for rule, named, role in self._heads
            if named in (None, tool) and (role is None or role in roles)
        ]
        text = "\n".join(rule.statement.text for rule in found)
        return Slice(tuple(rule.id for rule in found), cedarpy.PolicySet.from_str(text))


def _named(rule: Rule, part: str, kind: str) -> str | None:
    """The id that the head of a rule asks for, `== Tool::"x"` or `in Role::"x"`."""
    [parsed] = cast(dict[str, JSONObject], rule.parsed["staticPolicies"]).values()
    head = cast(JSONObject, parsed[part])
    entity = head.get("entity") if head["op"] in ("==", "in") else None
    if not isinstance(entity, dict) or entity.get("type") != kind:
        return None
    return str(entity["id"])
