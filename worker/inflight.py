"""The activities that this process has in hand: how a stop reaches them at once, and what a successor
needs to know when this process dies.

An interrupt or a cancel in the inbox sets an event that the body watches: the bus hints at it, a look every
two seconds is the back-stop, and the engine's own cancel comes with the heartbeat.

The task tokens lie in a file that is not flushed: it outlives the process, not the machine, and that is
enough, since after a reboot every activity has timed out anyway.
"""

import asyncio
import base64
import fcntl
import os
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TypeVar

from sqlalchemy import Connection
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from protocol.errors import Unavailable
from protocol.ids import RunId
from protocol.inbox import Cancel, Interrupt
from records import inbox, runs
from records.database import Database
from records.hints import Hints
from records.logs import logger

T = TypeVar("T")
BEAT_S = 2.0
log = logger(__name__)


class Stopped(Exception):
    """The run was interrupted, cancelled or ended while an activity worked for it."""


class InFlight:
    """Which runs this process works for right now."""

    def __init__(self, directory: Path, database: Database, hints: Hints) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._database = database
        self._hints = hints
        self._file: IO[str] | None = None

    def open(self) -> None:
        self._file = (self._directory / f"{os.getpid()}-{os.urandom(4).hex()}").open("a", buffering=1)
        fcntl.flock(self._file, fcntl.LOCK_EX)

    @contextmanager
    def working(self, run_id: RunId) -> Generator[asyncio.Event]:
        """While inside, a successor can find the activity's token, and a stop of the run sets the event."""
        token = base64.b64encode(activity.info().task_token).decode()
        self._note("+", token)
        stop = asyncio.Event()
        attending = asyncio.create_task(self._attend(run_id, stop))
        try:
            yield stop
        finally:
            attending.cancel()
            self._note("-", token)

    async def _attend(self, run_id: RunId, stop: asyncio.Event) -> None:
        """Look at the inbox when the bus hints at it, and beat: a first beat at once would cost the engine
        a commit in each of the many activities that are over before the second."""
        with self._hints.subscribe(("inbox", run_id)) as said:
            while not stop.is_set():
                await said.wait(said.number, BEAT_S)
                activity.heartbeat()
                if await self._is_stopped(run_id):
                    stop.set()

    async def _is_stopped(self, run_id: RunId) -> bool:
        """Whether the run has ended, or was told to stop and has not taken that up yet."""
        try:
            return await self._database.read(partial(_told_to_stop, run_id=run_id))
        except Unavailable as fault:
            log.warning("the inbox cannot be read", run_id=run_id, reason=fault.message)
            return False

    def _note(self, sign: str, token: str) -> None:
        if self._file is not None:
            self._file.write(f"{sign}{token}\n")

    async def fail_predecessors(self, client: Client) -> int:
        """Fail what dead workers had in hand, so that it is retried now and not at its time-out."""
        failed = 0
        for path in self._directory.iterdir():
            with path.open("r") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                for token in _open_tokens(file.read()):
                    failed += await _fail(client, token)
            path.unlink(missing_ok=True)
        return failed


def _told_to_stop(connection: Connection, run_id: RunId) -> bool:
    record = runs.load(connection, run_id)
    if record is None or record.ended:
        return True
    if record.inbox_last <= record.inbox_heard:
        return False
    items = inbox.take(connection, run_id, record.inbox_heard)
    return any(isinstance(item.message, Cancel | Interrupt) for item in items)


def _open_tokens(text: str) -> list[str]:
    tokens: dict[str, None] = {}
    for line in text.splitlines():
        if line.startswith("+"):
            tokens[line[1:]] = None
        else:
            tokens.pop(line[1:], None)
    return list(tokens)


async def _fail(client: Client, token: str) -> int:
    handle = client.get_async_activity_handle(task_token=base64.b64decode(token))
    try:
        await handle.fail(ApplicationError("the worker that had this activity is gone", type="worker_lost"))
    except RPCError as error:
        log.info("activity of a dead worker was not open any more", reason=error.message)
        return 0
    return 1


async def until_stopped(work: Awaitable[T], stop: asyncio.Event) -> T:
    """The result of `work`, or Stopped as soon as the run is told to stop; the work is cancelled then."""
    task = asyncio.ensure_future(work)
    waiting = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise Stopped
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    finally:
        waiting.cancel()
