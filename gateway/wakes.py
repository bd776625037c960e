"""Wake-ups behind an answer: the words are committed, the workflow is told to look."""

import asyncio
from collections.abc import Iterable

from gateway.engine import Engine
from protocol.errors import Unavailable
from protocol.ids import RunId
from records.logs import logger

AT_ONCE = 32


class Wakes:
    """A wake-up that gets lost is repeated by a worker's sweeper, so nobody waits for one here."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._room = asyncio.Semaphore(AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = logger("gateway")

    def wake(self, run_ids: Iterable[RunId]) -> None:
        for run_id in run_ids:
            task = asyncio.create_task(self._wake(run_id))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """All that were begun are over."""
        await asyncio.gather(*self._tasks)

    async def _wake(self, run_id: RunId) -> None:
        async with self._room:
            try:
                await self._engine.wake(run_id)
            except Unavailable as fault:
                self._log.warning("wake-up lost", run_id=run_id, reason=fault.message)
