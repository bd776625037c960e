"""What is broken, and what of it stays broken when it is looked at again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

Check = Literal["runs", "subruns", "events", "claims", "receipts", "forge", "boxes"]

CHECKS: dict[Check, str] = {
    "runs": "every run has ended, goes on, or waits for a named reason",
    "subruns": "every subrun ends with its parent, and its end is heard",
    "events": "events are 1..n with one terminal event",
    "claims": "every claim of an effect has an outcome",
    "receipts": "every claim and outcome of an effect is in its run's receipt, and no other",
    "forge": "every push and pull request that succeeded is on its forge, once",
    "boxes": "every container belongs to a run, and every box of an ended run is gone",
}

_POLL = 0.5


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it has to be."""

    check: Check
    subject: str
    text: str


Look = Callable[[], Awaitable[Sequence[Finding]]]


async def lasting(look: Look, patience: float) -> list[Finding]:
    """The findings that stay: a stack at work is between two states somewhere at every moment."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience
    found = list(await look())
    while found and loop.time() < deadline:
        await asyncio.sleep(_POLL)
        again = set(await look())
        found = [finding for finding in found if finding in again]
    return found
