"""Sources: kinds of capability beyond the catalogue's tools, each with what it offers and how it acts."""

from collections.abc import Callable, Sequence
from typing import Protocol

from capabilities.catalogue import Catalogue
from capabilities.offer import Missing, Offer, Offered, Stock, shelf_mark
from protocol.capability import Capability, Grant
from protocol.tool import ToolSource
from records.run_record import RunRecord
from worker.act import Act
from worker.known_runs import KnownRun


class Source(Protocol):
    """`kinds` are the requested capabilities that it answers for, `serves` marks the tools that it carries
    out by the source in their definition."""

    kinds: frozenset[str]
    serves: ToolSource

    async def offers(self, record: RunRecord, capability: Capability) -> Offered:
        """What there is for a capability of a run. Raises Unavailable where nobody can tell now."""
        ...

    async def digest_now(self, known: KnownRun, grant: Grant) -> str | None:
        """The digest of the raw definition as it is now; None where it is gone."""
        ...

    def act(self, known: KnownRun, grant: Grant) -> Act:
        """How a call under a grant is carried out."""
        ...


class Sources:
    """The sources of this process, over the catalogue."""

    def __init__(
        self, catalogue: Catalogue, sources: Sequence[Source] = (), redact: Callable[[str], str] = str
    ) -> None:
        """`redact` masks every secret that this process knows by value."""
        self._redact = redact
        self._catalogue = catalogue
        self._of_kind = {kind: source for source in sources for kind in source.kinds}
        self._serving = {source.serves: source for source in sources}

    async def stock(self, record: RunRecord, requested: Sequence[Capability]) -> Stock:
        """Everything that a run's request can be granted, fetched once, before it is resolved."""
        fetched: dict[str, Offered] = {}
        for capability in requested:
            source = self._of_kind.get(capability.kind)
            if source is not None:
                offered = await source.offers(record, capability)
                fetched[shelf_mark(capability)] = tuple(self._discreet(one) for one in offered)
        return Stock(self._catalogue, fetched)

    def _discreet(self, offered: Offer | Missing) -> Offer | Missing:
        """A definition that tells a secret of ours is not granted: models and people would read it."""
        known = offered.model_dump_json()
        clean = self._redact(known)
        if clean == known:
            return offered
        if isinstance(offered, Missing):
            return Missing.model_validate_json(clean)
        reason = "its definition tells a secret of this installation"
        return Missing(name=self._redact(offered.name), rule="secret.echoed", reason=reason)

    async def digest_now(self, known: KnownRun, grant: Grant) -> str | None:
        """A client tool's definition is the one in the request, so it never drifts."""
        source = self._serving.get(grant.definition.source)
        if source is not None:
            return await source.digest_now(known, grant)
        if grant.definition.source == "client":
            return grant.definition_digest
        return self._catalogue.digest_of(grant.name)

    def act(self, known: KnownRun, grant: Grant) -> Act | None:
        """None where the tool is one of the catalogue."""
        source = self._serving.get(grant.definition.source)
        return None if source is None else source.act(known, grant)
