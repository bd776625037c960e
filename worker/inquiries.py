"""Acts that want to know something in their middle: somebody is asked, and the act goes on with the answer.

The effect stays claimed meanwhile. Its next claim keeps the answer in the transaction that takes it, so
whoever comes after a crash sees that the answer was used, and does not use it again.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from protocol.checkpoint import Checkpoint
from worker.act import Act, Doing, Inquiry, Prepared
from worker.asking import Asking
from worker.known_runs import KnownRun, Standing
from workflows.messages import ActAsked, ActHeld, ActStopped
from workflows.signatures import holder_queue

ANSWERED = frozenset({"answered", "denied", "expired"})


@runtime_checkable
class Inquiring(Protocol):
    """An act whose `perform` may come to an Inquiry."""

    def told(self, prepared: Prepared, checkpoint: Checkpoint) -> Prepared | None:
        """With the answer; None where it was taken before."""
        ...

    def inquiry(self, doing: Doing, prepared: Prepared) -> Inquiry | None:
        """What else has to be known first."""
        ...

    def goes_on(self, doing: Doing, prepared: Prepared) -> bool:
        """Whether performing it now goes on with what was begun; else it would begin anew."""
        ...

    def held_by(self, prepared: Prepared) -> str | None:
        """The other process in which what was begun waits."""
        ...

    def anew(self, prepared: Prepared) -> Prepared:
        """Without what was asked: a person wants it to begin anew."""
        ...


@dataclass(frozen=True)
class Told:
    """What authorizes a claim that comes after an answer: an earlier one, which `goes_on` or was lost."""

    prepared: Prepared
    goes_on: bool


class Inquiries:
    """What becomes of the answers."""

    def __init__(self, asking: Asking) -> None:
        self._asking = asking

    async def told(
        self, known: KnownRun, standing: Standing, doing: Doing, act: Act, checkpoint: Checkpoint
    ) -> Told | ActAsked | ActHeld | ActStopped:
        """The next claim's authority, or the next question; or who else has to take the answer."""
        prepared = standing.prepared or Prepared()
        told = act.told(prepared, checkpoint) if isinstance(act, Inquiring) else None
        if told is None or not isinstance(act, Inquiring):
            return Told(prepared, goes_on=False)
        more = act.inquiry(doing, told)
        if more is not None and standing.effect is not None:
            return await self._asking.inquiry(known, doing, standing.effect.epoch, more)
        holder = None if standing.alone else act.held_by(told)
        if holder is not None:
            return ActHeld(queue=holder_queue(holder))
        return Told(told, goes_on=act.goes_on(doing, told))


def anew(act: Act, prepared: Prepared) -> Prepared:
    return act.anew(prepared) if isinstance(act, Inquiring) else prepared
