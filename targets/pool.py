"""Boxes that wait, started and attached, for a run that wants exactly such a box."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from protocol.errors import Refused, Unavailable
from targets.frames import Attachment

QUIET_SECONDS = 0.1
"""Calls to the engine wait this long after a hand-out, or they slow the run that just began."""

_SECONDS_BETWEEN_FAILURES = 5.0


class Member(NamedTuple):
    """A warm box that nobody has yet."""

    container: str
    attachment: Attachment


class Pool:
    """At most `size` warm boxes, of the kind that was asked for last; made again in the background."""

    def __init__(
        self,
        size: int,
        *,
        make: Callable[[str], Awaitable[Member]],
        discard: Callable[[Member], Awaitable[None]],
    ) -> None:
        self._size = size
        self._make = make
        self._discard = discard
        self._idle: deque[tuple[str, Member]] = deque()
        self._wanted: str | None = None
        self._filling: asyncio.Task[None] | None = None

    def take(self, key: str) -> Member | None:
        """A living member of that kind; another one is made meanwhile."""
        taken: Member | None = None
        for entry in list(self._idle):
            kind, member = entry
            if member.attachment.lost:
                self._idle.remove(entry)
            elif kind == key and taken is None:
                self._idle.remove(entry)
                taken = member
        self.want(key)
        return taken

    def want(self, key: str) -> None:
        if self._size == 0:
            return
        self._wanted = key
        if self._filling is None or self._filling.done():
            self._filling = asyncio.get_running_loop().create_task(self._fill())

    @property
    def idle(self) -> int:
        """How many would be handed out now to a run that wants what was wanted last."""
        return sum(kind == self._wanted and not member.attachment.lost for kind, member in self._idle)

    async def filled(self) -> None:
        """Returns when nothing is being made any more."""
        while self._filling is not None and not self._filling.done():
            await asyncio.wait([self._filling])

    async def close(self) -> None:
        if self._filling is not None:
            self._filling.cancel()
            await asyncio.wait([self._filling])
        members = [member for _, member in self._idle]
        self._idle.clear()
        self._size = 0
        await asyncio.gather(*(self._discard(member) for member in members))

    async def _fill(self) -> None:
        while self._wanted is not None and self.idle < self._size:
            await asyncio.sleep(QUIET_SECONDS)
            key = self._wanted
            try:
                member = await self._make(key)
            except Refused:
                self._wanted = None
                return
            except Unavailable:
                # Whoever needs a box is told by its own cold start; here it is only tried again later.
                await asyncio.sleep(_SECONDS_BETWEEN_FAILURES)
                continue
            self._idle.append((key, member))
            while len(self._idle) > self._size:
                _, oldest = self._idle.popleft()
                await self._discard(oldest)
