"""The feed: each followed run's newest events, read once for everybody who watches it.

A watcher keeps nothing but its cursor. The newest frames of a run lie in a ring that all its watchers share;
who falls behind the ring reads from the records again, so that a slow reader costs no memory.
"""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import NamedTuple

from protocol.errors import Unavailable
from protocol.event import TERMINAL_EVENTS
from protocol.ids import RunId
from records import events
from records.database import Database
from records.events import StoredEvent
from records.hints import Hints

PAGE = 256
RING_BYTES = 256 * 1024
LOOK_AGAIN_S = 1.0


class Frame(NamedTuple):
    """An event as it is sent, encoded once."""

    seq: int
    type: str
    data: bytes

    @property
    def is_last(self) -> bool:
        return self.type in TERMINAL_EVENTS


def frame_of(event: StoredEvent) -> Frame:
    data = b"id: %d\nevent: %b\ndata: %b\n\n" % (event.seq, event.type.encode(), event.data)
    return Frame(event.seq, event.type, data)


class Ring:
    """A run's newest frames without a gap, up to a number of bytes."""

    def __init__(self, last: int, limit: int = RING_BYTES) -> None:
        self.last = last
        self._limit = limit
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._news = asyncio.Event()

    def add(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._frames.append(frame)
            self._bytes += len(frame.data)
        while self._bytes > self._limit:
            self._bytes -= len(self._frames.popleft().data)
        self.last = frames[-1].seq
        self.stir()

    def after(self, cursor: int) -> list[Frame] | None:
        """What follows a cursor; None where the ring does not reach back that far."""
        if cursor >= self.last:
            return []
        first = self._frames[0].seq if self._frames else self.last + 1
        if first > cursor + 1:
            return None
        return list(islice(self._frames, cursor + 1 - first, None))

    def stir(self) -> None:
        """Everybody who waits looks again."""
        self._news.set()
        self._news = asyncio.Event()

    @property
    def news(self) -> asyncio.Event:
        """Set at the next change; to be taken before one looks."""
        return self._news


class _Followed:
    def __init__(self, ring: Ring, task: "asyncio.Task[None]") -> None:
        self.ring = ring
        self.task = task
        self.watchers = 0


class Feed:
    """All followed runs of a gateway."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints
        self._followed: dict[RunId, _Followed] = {}
        self._wanted: list[tuple[RunId, int, asyncio.Future[list[StoredEvent]]]] = []
        self._reading: asyncio.Task[None] | None = None
        self._closed = False

    def close(self) -> None:
        """Every watcher ends where it is: its client comes back with its cursor, to somebody else."""
        self._closed = True
        for followed in self._followed.values():
            followed.ring.stir()

    def followed(self) -> list[RunId]:
        return list(self._followed)

    def watchers(self, run_id: RunId) -> int:
        return self._followed[run_id].watchers if run_id in self._followed else 0

    async def watch(
        self, run_id: RunId, cursor: int, last: int, *, patience_s: float
    ) -> AsyncGenerator[list[Frame]]:
        """Frames after a cursor until the terminal one; an empty list whenever `patience_s` has passed.

        `last` is the newest seq that the caller has read of. It ends early where the records are away.
        """
        due = time.monotonic() + patience_s
        with self._follow(run_id, last) as followed:
            ring = followed.ring
            while not self._closed and not followed.task.done():
                news = ring.news
                frames = ring.after(cursor)
                if frames is None:
                    try:
                        frames = await self._from_records(run_id, cursor)
                    except Unavailable:
                        return
                if frames:
                    yield frames
                    cursor = frames[-1].seq
                    if frames[-1].is_last:
                        return
                else:
                    await _within(news, due - time.monotonic())
                if time.monotonic() >= due:
                    due = time.monotonic() + patience_s
                    yield []

    @contextmanager
    def _follow(self, run_id: RunId, last: int) -> Generator[_Followed]:
        followed = self._followed.get(run_id)
        if followed is None:
            ring = Ring(last)
            followed = _Followed(ring, asyncio.create_task(self._read_on(run_id, ring)))
            followed.task.add_done_callback(lambda _: ring.stir())
            self._followed[run_id] = followed
        followed.watchers += 1
        try:
            yield followed
        finally:
            followed.watchers -= 1
            if followed.watchers == 0:
                del self._followed[run_id]
                followed.task.cancel()

    async def _read_on(self, run_id: RunId, ring: Ring) -> None:
        with self._hints.subscribe(("events", run_id)) as grown:
            while True:
                try:
                    page = await self._page(run_id, ring.last)
                except Unavailable:
                    await asyncio.sleep(LOOK_AGAIN_S)
                    continue
                if page:
                    ring.add([frame_of(event) for event in page])
                if len(page) < PAGE:
                    await grown.wait(ring.last, LOOK_AGAIN_S)

    async def _from_records(self, run_id: RunId, cursor: int) -> list[Frame]:
        page = await self._database.read(lambda connection: events.page(connection, run_id, cursor, PAGE))
        return [frame_of(event) for event in page]

    async def _page(self, run_id: RunId, after: int) -> list[StoredEvent]:
        """One read serves all runs that have news while the one before it is under way."""
        future: asyncio.Future[list[StoredEvent]] = asyncio.get_running_loop().create_future()
        self._wanted.append((run_id, after, future))
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_wanted())
        return await future

    async def _read_wanted(self) -> None:
        while self._wanted:
            wanted, self._wanted = self._wanted, []
            try:
                cursors = [(run_id, after) for run_id, after, _ in wanted]
                pages = await self._database.look(
                    lambda connection, cursors=cursors: events.pages(connection, cursors, PAGE)
                )
                for (_, _, future), page in zip(wanted, pages, strict=True):
                    if not future.done():
                        future.set_result(page)
            except Unavailable as fault:
                for _, _, future in wanted:
                    if not future.done():
                        future.set_exception(fault)
            finally:
                for _, _, future in wanted:
                    future.cancel()


async def _within(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await news.wait()
    except TimeoutError:
        return
