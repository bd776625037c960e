"""Offers: what there is to be granted for one requested capability, each with what a grant pins of it."""

from collections.abc import Mapping
from typing import Protocol

from protocol.capability import Capability, GrantKind
from protocol.digest import digest
from protocol.noun import JSONObject, Noun
from protocol.tool import ToolDefinition


class Offer(Noun):
    """One thing that a run can be granted.

    `digest` covers the raw definition object as its source gave it; `attributes` is what rules may ask of the
    resource besides its kind, source and effect.
    """

    kind: GrantKind
    name: str
    source_identity: str
    definition: ToolDefinition
    digest: str
    attributes: dict[str, str] = {}
    argument_constraints: JSONObject = {}
    hosts: tuple[str, ...] = ()
    timeout_ms: int | None = None


class Missing(Noun):
    """Why something that was asked for cannot be granted at all, and the rule that says so."""

    name: str
    rule: str
    reason: str


Offered = tuple[Offer | Missing, ...]


class Shelf(Protocol):
    """Where the resolver finds what is asked for."""

    def offers(self, capability: Capability) -> Offered: ...


class Stock:
    """What was fetched for one run, beside what is always there."""

    def __init__(self, always: Shelf, fetched: Mapping[str, Offered]) -> None:
        self._always = always
        self._fetched = fetched

    def offers(self, capability: Capability) -> Offered:
        found = self._fetched.get(shelf_mark(capability))
        return self._always.offers(capability) if found is None else found


def shelf_mark(capability: Capability) -> str:
    """The key under which the offers for a capability are fetched."""
    return digest(capability)
