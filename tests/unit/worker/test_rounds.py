"""What a worker does again and again: woken by a hint, held up by no fault."""

import asyncio
from collections.abc import Awaitable, Callable

from protocol.errors import Unavailable
from records.hints import SOME_RUN, LocalHints, Topic
from worker.rounds import Rounds

OUTBOX: Topic = ("outbox", SOME_RUN)
HOUR = 3600.0


class Work:
    """Counts its turns; `rest` is what each says, a fault where there is none left."""

    def __init__(self, *rests: float) -> None:
        self.turns = 0
        self._rests = list(rests)
        self._begun = asyncio.Condition()

    async def turn(self) -> float:
        async with self._begun:
            self.turns += 1
            self._begun.notify_all()
        if not self._rests:
            raise Unavailable("storage.unavailable", "nobody answers")
        return self._rests.pop(0)

    async def reached(self, turns: int) -> None:
        async with asyncio.timeout(30), self._begun:
            await self._begun.wait_for(lambda: self.turns >= turns)


async def going(work: Work, then: Callable[[LocalHints], Awaitable[None]]) -> None:
    hints = LocalHints()
    await hints.start()
    task = asyncio.create_task(Rounds("count", work.turn, 0.001, OUTBOX).go(hints))
    await then(hints)
    assert not task.done()
    task.cancel()
    await asyncio.wait([task])


async def test_a_hint_brings_the_next_turn_at_once() -> None:
    work = Work(HOUR, HOUR, HOUR)

    async def then(hints: LocalHints) -> None:
        for turns in (1, 2, 3):
            await work.reached(turns)
            hints.publish({OUTBOX: 1})

    await going(work, then)


async def test_without_a_hint_the_next_turn_comes_when_the_last_one_said() -> None:
    work = Work(0, 0.001, HOUR)
    await going(work, lambda hints: work.reached(3))


async def test_a_fault_is_left_for_the_next_round() -> None:
    work = Work()
    await going(work, lambda hints: work.reached(4))
