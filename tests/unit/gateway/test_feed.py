"""The ring of a run's newest frames: whole, without a gap, and no larger than it may be."""

import asyncio
from typing import cast

from gateway.feed import Feed, Frame, Ring, Watcher, frame_of
from protocol.errors import Unavailable
from protocol.ids import RunId
from records.database import Database
from records.events import StoredEvent
from records.hints import LocalHints


class BrokenDatabase:
    """Answers with a fault of ours, which no reader expects."""

    async def glance(self, unit: object) -> None:
        raise LookupError("a row that nobody can read")


class GrowingDatabase:
    """A run whose next event is there each time one looks; away at every second look."""

    def __init__(self, most: int = 2) -> None:
        self._most = most
        self._looks = 0

    async def glance(self, unit: object) -> list[list[StoredEvent]]:
        self._looks += 1
        if self._looks % 2 == 0:
            raise Unavailable("storage.unavailable", "away")
        seq = self._looks // 2 + 1
        kind = "run.completed" if seq == self._most else "response.delta"
        return [[StoredEvent(seq, kind, b"{}")] if seq <= self._most else []]


def frame(seq: int, size: int = 10) -> Frame:
    return Frame(seq, "response.delta", b"x" * size)


def test_a_frame_is_the_event_with_its_cursor() -> None:
    event = StoredEvent(7, "run.completed", b'{"seq":7}')
    made = frame_of(event)
    assert made.data == b'id: 7\nevent: run.completed\ndata: {"seq":7}\n\n'
    assert made.is_last


async def test_a_watcher_gets_what_follows_its_cursor() -> None:
    ring = Ring(4)
    assert ring.after(4) == []
    ring.add([frame(5), frame(6), frame(7)])
    assert ring.after(4) == [frame(5), frame(6), frame(7)]
    assert ring.after(6) == [frame(7)]
    assert ring.after(7) == []
    assert ring.after(9) == []


async def test_who_is_further_back_than_the_ring_is_told_so() -> None:
    ring = Ring(4)
    assert ring.after(3) is None
    ring.add([frame(5)])
    assert ring.after(3) is None


async def test_a_full_ring_forgets_its_oldest_frames() -> None:
    ring = Ring(0, limit=35)
    ring.add([frame(seq) for seq in range(1, 11)])
    assert ring.after(6) is None
    assert ring.after(7) == [frame(8), frame(9), frame(10)]
    ring.add([frame(11, size=100)])
    assert ring.after(10) is None
    assert ring.after(11) == []


async def test_what_is_new_and_an_end_wake_whoever_watches() -> None:
    ring, watcher = Ring(0), Watcher(60)
    ring.watchers.add(watcher)
    ring.add([frame(1)])
    assert watcher.is_set()
    watcher.clear()
    ring.end()
    assert watcher.is_set()
    watcher.leave()


async def test_a_hint_that_was_never_given_costs_one_look() -> None:
    """No hint at all: what is marked at the start and once a second is enough."""
    database = GrowingDatabase()
    feed = Feed(cast(Database, database), LocalHints())
    seen: list[int] = []
    async with asyncio.timeout(60):
        async for frames in feed.watch(RunId("run_1"), 0, 0, patience_s=60):
            seen += [frame.seq for frame in frames]
    assert (seen, feed.followed()) == ([1, 2], [])


async def test_a_watcher_is_told_each_time_its_patience_ends() -> None:
    feed = Feed(cast(Database, GrowingDatabase(most=0)), LocalHints())
    quiet: list[list[Frame]] = []
    async with asyncio.timeout(60):
        async for frames in feed.watch(RunId("run_1"), 0, 0, patience_s=0.01):
            quiet.append(frames)
            if len(quiet) == 3:
                feed.close()
    assert quiet == [[], [], []]


async def test_a_read_that_breaks_ends_its_streams_instead_of_leaving_them_waiting() -> None:
    feed = Feed(cast(Database, BrokenDatabase()), LocalHints())
    async with asyncio.timeout(60):
        assert [frames async for frames in feed.watch(RunId("run_1"), 0, 0, patience_s=60)] == []
    assert feed.followed() == []
