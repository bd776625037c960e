"""The one writer of a process: units of work from many tasks, committed together by a thread of its own.

A unit is a plain function of a `Tx`. The thread takes all units that are queued, locks the union of their
runs in sorted order, runs them, stores their events and commits once; then it sends the hints and answers.
When a batch fails, its units are replayed one by one, so that only the one at fault fails. A database that
does not answer makes `Unavailable`: nothing was acknowledged, and the same unit may be committed again.
"""

import asyncio
import threading
from collections.abc import Callable, Collection
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from protocol.errors import Unavailable
from protocol.ids import RunId
from records.database import Database
from records.faults import STORAGE_ERRORS, away, collided, unavailable
from records.hints import Hints, Topic
from records.link import Link
from records.tx import Tx

T = TypeVar("T")

CAPACITY = 2_048
BATCH = 128
TRIES = 5


class _Job:
    """A unit of work that somebody waits for."""

    __slots__ = ("error", "future", "loop", "result", "runs", "unit")

    def __init__(self, unit: Callable[[Tx], Any], runs: frozenset[RunId]) -> None:
        self.unit = unit
        self.runs = runs
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()
        self.result: Any = None
        self.error: BaseException | None = None


class Writer:
    """Start it after the database is migrated; `close` commits what is queued."""

    def __init__(self, database: Database, hints: Hints, *, capacity: int = CAPACITY) -> None:
        self._database = database
        self._hints = hints
        self._capacity = capacity
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._link: Link | None = None
        self._grown: dict[Topic, int] = {}
        self._lock = threading.Lock()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="records-write", daemon=True)
        self._thread.start()

    async def commit(self, unit: Callable[[Tx], T], *, runs: Collection[RunId] = ()) -> T:
        """What `unit` returned, once it is on disk; `runs` are those that it appends to or changes."""
        job = _Job(unit, frozenset(runs))
        with self._lock:
            if self._closed:
                raise away("this process is stopping")
            if self._jobs.qsize() >= self._capacity:
                message = f"{self._capacity} writes are waiting; nothing was acknowledged"
                raise Unavailable("storage.overloaded", message, retry_after=1)
            self._jobs.put(job)
        return cast("T", await job.future)

    def close(self) -> None:
        with self._lock:
            if not self._closed:
                self._closed = True
                self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        stopping = False
        while not stopping:
            batch = self._take()
            stopping = None in batch
            live = [job for job in batch if job is not None and not job.future.cancelled()]
            if live:
                self._settle(live)
                self._hints.publish(self._grown)
                self._grown = {}
                _answer(live)
        self._drop_link()

    def _take(self) -> list[_Job | None]:
        """All that waits, up to a batch; None is the last that ever comes."""
        batch = [self._jobs.get()]
        while len(batch) < BATCH:
            try:
                batch.append(self._jobs.get_nowait())
            except Empty:
                break
        return batch

    def _settle(self, batch: list[_Job]) -> None:
        """Give each job its result or its error."""
        try:
            self._together(batch)
        except STORAGE_ERRORS as error:
            fault = unavailable(error)
            if fault is None:
                self._one_by_one(batch, error)
            else:
                self._drop_link()
                for job in batch:
                    job.error = fault
        except BaseException as error:  # a unit is anybody's code: what it raises is its caller's to see
            self._one_by_one(batch, error)

    def _one_by_one(self, batch: list[_Job], error: BaseException) -> None:
        if len(batch) > 1:
            for job in batch:
                self._settle([job])
        elif collided(error):
            self._again(batch)
        else:
            batch[0].error = error

    def _again(self, batch: list[_Job]) -> None:
        """After a deadlock the same unit usually succeeds alone."""
        for _ in range(TRIES):
            try:
                self._together(batch)
                return
            except STORAGE_ERRORS as error:
                if not collided(error):
                    batch[0].error = unavailable(error) or error
                    return
        batch[0].error = away("too many transactions collide")

    def _together(self, batch: list[_Job]) -> None:
        tx = self._begin(sorted(set[RunId]().union(*(job.runs for job in batch))))
        try:
            results = [job.unit(tx) for job in batch]
            tx.commit()
        except BaseException:
            self._roll_back()
            raise
        for job, result in zip(batch, results, strict=True):
            job.result = result
        self._grown |= tx.hints

    def _begin(self, runs: list[RunId]) -> Tx:
        """On a new connection where the old one was cut while it idled: nothing has been done yet."""
        if self._link is None:
            self._link = self._database.link()
        try:
            return Tx(self._link, runs)
        except STORAGE_ERRORS:
            if not self._link.lost:
                self._roll_back()
                raise
        self._drop_link()
        self._link = self._database.link()
        return Tx(self._link, runs)

    def _roll_back(self) -> None:
        try:
            if self._link is not None:
                self._link.rollback()
        except STORAGE_ERRORS:
            self._drop_link()

    def _drop_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            with suppress(*STORAGE_ERRORS):
                link.close()


def _answer(batch: list[_Job]) -> None:
    loops: dict[asyncio.AbstractEventLoop, list[_Job]] = {}
    for job in batch:
        loops.setdefault(job.loop, []).append(job)
    for loop, jobs in loops.items():
        try:
            loop.call_soon_threadsafe(_resolve, jobs)
        except RuntimeError:
            continue  # that loop is closed: nobody waits any more


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():
            continue
        if job.error is None:
            job.future.set_result(job.result)
        else:
            job.future.set_exception(job.error)
