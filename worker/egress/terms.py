"""What one box may reach, under which authority it is served, and how it is told of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from capabilities.egress import Asked
from protocol.digest import digest
from protocol.egress import GrantedEgress
from protocol.errors import Refused, Unavailable
from protocol.event import EgressDenied
from protocol.ids import BoxId, RunId
from records import egress
from records.logs import logger
from records.writer import Writer
from worker.egress.authority import Authority
from worker.egress.reach import Reach
from worker.egress.upstream import Spare

TOLD = 500
"""How many different denials of one box are told; what is denied beyond that is only denied."""

LONGEST_PATH = 200

log = logger(__name__)


class Ledger:
    """The records, for one box. What may have changed something outside is written down before it leaves."""

    def __init__(self, writer: Writer, run_id: RunId, box_id: BoxId) -> None:
        self._writer = writer
        self._run_id = run_id
        self._box_id = box_id
        self._told: set[str] = set()

    async def denied(self, rule: str, reason: str, asked: Asked | None) -> None:
        """Each different denial once."""
        told = EgressDenied(
            rule=rule,
            reason=reason[:500],
            host=asked.host if asked else None,
            port=asked.port if asked else None,
            method=asked.method if asked else None,
            path=asked.path[:LONGEST_PATH] if asked else None,
        )
        key = digest(told)
        if key in self._told or len(self._told) >= TOLD:
            return
        self._told.add(key)
        try:
            unit = egress.denied(self._run_id, self._box_id, told, key)
            await self._writer.commit(unit, runs=[self._run_id])
        except Unavailable as fault:
            self._told.discard(key)
            log.warning("a denial is not recorded", run_id=self._run_id, reason=fault.message)

    async def used(self, use: Literal["request", "tunnel", "closed"], asked: Asked) -> None:
        """Raises Refused where the box is no longer the run's, Unavailable where it cannot be recorded."""
        unit = egress.used(self._run_id, self._box_id, use, asked.method, asked.host, asked.port)
        if not await self._writer.commit(unit, runs=[self._run_id]):
            raise Refused("egress.ended", "the run has ended, or has another box by now")


@dataclass(frozen=True)
class Terms:
    """`secret` looks a credential up at the moment of use, by its name and the host it is for; `spare` are
    connections that the box has had."""

    run_id: RunId
    rules: Sequence[GrantedEgress]
    authority: Authority
    reach: Reach
    ledger: Ledger
    secret: Callable[[str, str, int], bytes]
    spare: Spare = field(default_factory=Spare)
