"""Who must agree, in the words of the rules that ask: annotations before a rule, read when the gate asks.

No policy engine is loaded here: annotations come as plain names and values.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches

from capabilities.gate import Ask, Deny
from protocol.checkpoint import Required

ROLE, COUNT, OTHER = "approver_role", "approvals", "not_requester"
NAMES = (ROLE, COUNT, OTHER)
MOST = 20

_ROLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/-]{0,63}")
_COUNT = re.compile(r"[1-9][0-9]?")

Annotations = Mapping[str, str]


def fault_in(name: str, value: str) -> str | None:
    """Why an annotation of a rule says nothing that can be kept; None where it does. A name that is nearly
    one of ours would loosen in silence."""
    if name not in NAMES:
        meant = get_close_matches(name, NAMES, n=1, cutoff=0.75)
        return f"there is no annotation @{name}; did you mean @{meant[0]}?" if meant else None
    if name == ROLE and _ROLE.fullmatch(value) is None:
        return f'@{ROLE} is the name of one role, as in @{ROLE}("release"), not {value!r}'
    if name == COUNT and (_COUNT.fullmatch(value) is None or int(value) > MOST):
        return f'@{COUNT} is a whole number from 1 to {MOST}, as in @{COUNT}("2"), not {value!r}'
    if name == OTHER and value not in ("true", "false"):
        return f'@{OTHER} is "true" or "false", not {value!r}'
    return None


def ask_whom(ask: Ask, rules: Iterable[str], annotations: Callable[[str], Annotations]) -> Ask | Deny:
    """The question with all that the rules behind it want: the largest number, and nobody whom one of them
    excludes. Two roles at once nobody could be asked for, nor what does not read: such a call is denied."""
    role, count, other = None, 1, False
    for rule in dict.fromkeys((ask.rule, *rules)):
        words = annotations(rule)
        fault = next((why for word in words.items() if (why := fault_in(*word))), None)
        if fault is not None:
            return Deny(rule=rule, reason=f"the rule does not say who must agree: {fault}")
        named = words.get(ROLE)
        if named is not None and role not in (None, named):
            reason = f"one rule wants the approval of a {role!r}, this one that of a {named!r}"
            return Deny(rule=rule, reason=reason)
        role = named or role
        count = max(count, int(words.get(COUNT, "1")))
        other = other or words.get(OTHER) == "true"
    required = Required(role=role, count=count, not_requester=other)
    return ask.model_copy(update={"required": required})
