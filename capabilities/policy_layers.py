"""Layers of a policy: what a project says over the installation can only tighten it.

A project's text has rules that forbid and none that permit. Cedar's `forbid` beats every `permit`, so
whatever such a text says, no answer gets weaker by it.
"""

from collections.abc import Sequence

from capabilities.policy import Policy
from capabilities.policy_text import check_words, invalid, rules_of
from protocol.errors import Forbidden
from protocol.noun import JSONObject


def check_layer(name: str, text: str) -> None:
    """Raises for a project's text that does not read, or that would loosen anything."""
    for rule in rules_of(name, text):
        if not rule.id.startswith(f"{name}."):
            raise invalid(
                rule.statement, f"the id of a rule of the policy {name!r} begins with {name + '.'!r}"
            )
        if not rule.forbids:
            where = f"{name}, line {rule.statement.line}"
            message = f"{where}: {rule.id!r} permits; a project's policy can only forbid"
            details: JSONObject = {"file": name, "line": rule.statement.line}
            raise Forbidden("policy.loosens", message, details=details)
        check_words(rule)
    Policy.load([(name, text)])


class Layers:
    """The installation's policy, and over it that of each project, each version read once."""

    def __init__(self, installation: Policy) -> None:
        self.installation = installation
        self._known: dict[tuple[tuple[str, str], ...], Policy] = {}

    def over(self, texts: Sequence[tuple[str, str]]) -> Policy:
        key = tuple(texts)
        if not key:
            return self.installation
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KEPT:
                self._known.clear()
            found = self._known[key] = Policy.load([*self.installation.texts, *key])
        return found


_KEPT = 64
