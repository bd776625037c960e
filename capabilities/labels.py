"""Taint: the table that says which tools' results carry which labels. The narrowest entry decides."""

from collections.abc import Iterator, Mapping

from protocol.capability import Grant
from protocol.label import Label

DEFAULTS: Mapping[str, tuple[Label, ...]] = {
    "web_fetch": ("untrusted",),
    "web_search": ("untrusted",),
    "source:mcp": ("untrusted",),
    "source:forge": ("untrusted",),
    "source:provider": ("untrusted",),
    "memory:user": ("private",),
    "vault": ("private",),
}


class LabelTable:
    """The defaults, and over them the entries of an installation."""

    def __init__(self, own: Mapping[str, tuple[Label, ...]] | None = None) -> None:
        self._table = {**DEFAULTS, **(own or {})}

    def of(self, grant: Grant) -> tuple[Label, ...]:
        """The labels that a result of the granted tool carries."""
        return next((self._table[key] for key in _keys(grant) if key in self._table), ())


def _keys(grant: Grant) -> Iterator[str]:
    attributes = grant.attributes
    yield grant.name
    if "server" in attributes:
        yield f"mcp:{attributes['server']}"
    if "scope" in attributes:
        yield f"memory:{attributes['scope']}"
    if "vault" in attributes:
        yield f"vault:{attributes['vault']}"
        yield "vault"
    yield f"source:{grant.definition.source}"
