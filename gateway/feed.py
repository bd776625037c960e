"""The feed: each followed run's newest events, read once for everybody who watches it.

A watcher keeps nothing but its cursor. The newest frames of a run lie in a ring that all its watchers share;
who falls behind the ring reads from the records again, so that a slow reader costs no memory. A hint only
marks its run; all marked runs are read together. Once a second every run is marked, lest a hint got lost.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import contextmanager
from functools import partial
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
NEWS = 64
AT_ONCE = 64
"""So many events at most of so many runs are read in one go, which on SQLite happens in the loop."""
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


class Watcher(asyncio.Event):
    """Set by what is new in a run, and each time that the patience of the one who reads it ends."""

    def __init__(self, patience_s: float) -> None:
        super().__init__()
        self._patience_s = patience_s
        self.calm()

    def calm(self) -> None:
        self.impatient = False
        self._timer = asyncio.get_running_loop().call_later(self._patience_s, self._lose_patience)

    def leave(self) -> None:
        self._timer.cancel()

    def _lose_patience(self) -> None:
        self.impatient = True
        self.set()


class Ring:
    """A run's newest frames without a gap, up to a number of bytes, and who watches them."""

    def __init__(self, last: int, limit: int = RING_BYTES) -> None:
        self.last = last
        self.watchers: set[Watcher] = set()
        self.ended = False
        self._limit = limit
        self._frames: deque[Frame] = deque()
        self._bytes = 0

    def add(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            self._frames.append(frame)
            self._bytes += len(frame.data)
        while self._bytes > self._limit:
            self._bytes -= len(self._frames.popleft().data)
        self.last = frames[-1].seq
        self._wake()

    def after(self, cursor: int) -> list[Frame] | None:
        """What follows a cursor; None where the ring does not reach back that far."""
        if cursor >= self.last:
            return []
        first = self._frames[0].seq if self._frames else self.last + 1
        if first > cursor + 1:
            return None
        return list(islice(self._frames, cursor + 1 - first, None))

    def end(self) -> None:
        """Nothing is added any more: every watcher ends where it is."""
        self.ended = True
        self._wake()

    def _wake(self) -> None:
        for watcher in self.watchers:
            watcher.set()


class Feed:
    """All followed runs of a gateway."""

    def __init__(self, database: Database, hints: Hints) -> None:
        self._database = database
        self._hints = hints
        self._rings: dict[RunId, Ring] = {}
        self._marked: set[RunId] = set()
        self._reading: asyncio.Task[None] | None = None
        self._sweeping: asyncio.TimerHandle | None = None
        self._closed = False

    def close(self) -> None:
        """Every watcher ends where it is: its client comes back with its cursor, to somebody else."""
        self._closed = True
        for ring in self._rings.values():
            ring.end()

    def followed(self) -> list[RunId]:
        return list(self._rings)

    def watchers(self, run_id: RunId) -> int:
        return len(self._rings[run_id].watchers) if run_id in self._rings else 0

    async def watch(
        self, run_id: RunId, cursor: int, last: int, *, patience_s: float
    ) -> AsyncGenerator[list[Frame]]:
        """Frames after a cursor until the terminal one; an empty list whenever `patience_s` has passed.

        `last` is the newest seq that the caller has read of. It ends early where the records are away.
        """
        with self._watching(run_id, last, patience_s) as (ring, watcher):
            while not ring.ended:
                if watcher.impatient:
                    watcher.calm()
                    yield []
                    continue
                watcher.clear()
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
                    await watcher.wait()

    @contextmanager
    def _watching(self, run_id: RunId, last: int, patience_s: float) -> Generator[tuple[Ring, Watcher]]:
        ring = self._rings.get(run_id)
        if ring is None:
            ring = self._rings[run_id] = Ring(last)
            ring.ended = self._closed
        watcher = Watcher(patience_s)
        ring.watchers.add(watcher)
        try:
            with self._hints.listen(("events", run_id), partial(self._hear, run_id)):
                self._mark(run_id)
                yield ring, watcher
        finally:
            watcher.leave()
            ring.watchers.discard(watcher)
            if not ring.watchers:
                del self._rings[run_id]

    def _hear(self, run_id: RunId, number: int) -> None:
        if number > self._rings[run_id].last:
            self._mark(run_id)

    def _mark(self, *run_ids: RunId) -> None:
        self._marked.update(run_ids)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.create_task(self._read_marked())
        if self._sweeping is None:
            self._sweeping = asyncio.get_running_loop().call_later(LOOK_AGAIN_S, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        if self._rings:
            self._mark(*self._rings)

    async def _read_marked(self) -> None:
        """Where the records are away, the next sweep reads again."""
        while self._marked:
            chosen = [self._marked.pop() for _ in range(min(len(self._marked), AT_ONCE))]
            rings = {run_id: self._rings[run_id] for run_id in chosen if run_id in self._rings}
            cursors = [(run_id, ring.last) for run_id, ring in rings.items()]
            try:
                pages = await self._database.glance(partial(events.pages, wanted=cursors, limit=NEWS))
            except Unavailable:
                return
            except BaseException:
                for ring in rings.values():
                    ring.end()
                raise
            for (run_id, ring), page in zip(rings.items(), pages, strict=True):
                if page:
                    ring.add([frame_of(event) for event in page])
                if len(page) == NEWS:
                    self._marked.add(run_id)
            await asyncio.sleep(0)

    async def _from_records(self, run_id: RunId, cursor: int) -> list[Frame]:
        page = await self._database.read(lambda connection: events.page(connection, run_id, cursor, PAGE))
        return [frame_of(event) for event in page]
