"""Branch names: the strict part of git's grammar that a run may ask for."""

import re

from protocol.ids import RunId

PROTECTED = re.compile(r"(?:main|master|release.*)", re.IGNORECASE)

_COMPONENT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]*")
_AMBIGUOUS = re.compile(r"(?:[A-Z]+_)?HEAD|refs/.*|[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST = 200


def name_fault(name: str) -> str | None:
    """Why this is no branch name of ours, or None."""
    if not 1 <= len(name) <= _LONGEST:
        return f"a branch name has 1 to {_LONGEST} characters"
    for component in name.split("/"):
        if not _COMPONENT.fullmatch(component):
            return (
                f"{component[:40]!r} is no part of a branch name: letters, digits, `_ . + -`, "
                "starting with a letter, a digit or `_`"
            )
        if ".." in component or component.endswith((".", ".lock")):
            return f"{component[:40]!r} holds `..`, or ends with `.` or `.lock`"
    if _AMBIGUOUS.fullmatch(name):
        return f"{name!r} reads as something else than a branch"
    return None


def branch_fault(name: str, *, base: str, granted: frozenset[str] = frozenset()) -> str | None:
    """Why a run may not have this branch as its own, or None; `granted` lists protected ones that it may."""
    fault = name_fault(name)
    if fault is not None:
        return fault
    if name.casefold() == base.casefold():
        return f"{name!r} is the base branch: a run works on a branch of its own"
    if PROTECTED.fullmatch(name) and name not in granted:
        return f"{name!r} is protected (main, master, release*)"
    return None


def default_branch(run_id: RunId) -> str:
    """The branch of a run that names none."""
    return f"rhone/{run_id.rpartition('_')[2]}"
