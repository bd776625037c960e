"""What a worker does again and again behind its ports."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass

from temporalio.service import RPCError

from protocol.errors import Fault
from records.hints import Hints, Subscription, Topic
from records.logs import logger

GATHER_S = 0.2
"""So long after a hint those that follow close behind it are waited for, so that they are done together."""

log = logger(__name__)


@dataclass(frozen=True)
class Rounds:
    """One such work: `turn` does what there is to do and says after how many seconds it looks again, at the
    latest; a hint at `topic` makes it look sooner."""

    name: str
    turn: Callable[[], Awaitable[float]]
    after_fault_s: float = 1.0
    topic: Topic | None = None

    async def go(self, hints: Hints) -> None:
        """Until it is cancelled."""
        with hints.subscribe(self.topic) if self.topic else nullcontext(Subscription()) as told:
            while True:
                told.number = 0  # what is hinted from here on may come too late for this turn
                try:
                    rest = await self.turn()
                except (Fault, RPCError) as fault:
                    log.warning("left for the next round", work=self.name, reason=str(fault))
                    rest = self.after_fault_s
                if await told.wait(0, rest):
                    await asyncio.sleep(GATHER_S)
