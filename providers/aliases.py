"""Tool names that the wire does not take, and the names that go out in their place."""

import hashlib
import re
from collections.abc import Iterable

_SAFE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ILLEGAL = re.compile(r"[^A-Za-z0-9_-]")


class Aliases:
    """A name that is not safe gets the same alias in every request: the prefix stays stable."""

    def __init__(self, names: Iterable[str]) -> None:
        self._own = {alias_of(name): name for name in names}

    def restore(self, wire_name: str) -> str:
        """Our name; one that nobody offered comes back as the model wrote it."""
        return self._own.get(wire_name, wire_name)


def alias_of(name: str) -> str:
    if _SAFE.fullmatch(name):
        return name
    return f"{_ILLEGAL.sub('_', name)[:55]}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
