"""What a worker has in hand: how its heir finds it, and how a stop reaches it."""

import asyncio
import base64
import fcntl
from pathlib import Path
from typing import Any, cast

import pytest
from temporalio.client import Client

from records.database import Database
from records.hints import LocalHints
from worker.inflight import InFlight, Stopped, until_stopped


class Engine:
    """Only what the heir asks of a Temporal client: handles of activities, by their tokens."""

    def __init__(self) -> None:
        self.failed: list[bytes] = []

    def get_async_activity_handle(self, *, task_token: bytes) -> "Engine":
        self._asked = task_token
        return self

    async def fail(self, error: Exception) -> None:
        self.failed.append(self._asked)


def written(*notes: tuple[str, bytes]) -> str:
    return "".join(f"{sign}{base64.b64encode(token).decode()}\n" for sign, token in notes)


async def heir(folder: Path) -> tuple[Engine, int]:
    engine = Engine()
    database = Database.open(f"sqlite:///{folder}/none.db", folder / "blobs")
    inflight = InFlight(folder / "worker", database, LocalHints())
    failed = await inflight.fail_predecessors(cast(Client, engine))
    database.close()
    return engine, failed


async def test_what_a_dead_worker_had_not_finished_is_failed_once(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    left = tmp_path / "worker" / "1-dead"
    left.write_text(written(("+", b"one"), ("+", b"two"), ("-", b"one"), ("+", b"three")))
    engine, failed = await heir(tmp_path)
    assert (engine.failed, failed) == ([b"two", b"three"], 2)
    assert not left.exists()
    engine, failed = await heir(tmp_path)
    assert (engine.failed, failed) == ([], 0)


async def test_a_worker_that_lives_keeps_what_it_has_in_hand(tmp_path: Path) -> None:
    (tmp_path / "worker").mkdir()
    with (tmp_path / "worker" / "1-alive").open("w") as held:
        held.write(written(("+", b"one")))
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)
        engine, failed = await heir(tmp_path)
    assert (engine.failed, failed) == ([], 0)


async def test_work_that_ends_before_a_stop_gives_its_result() -> None:
    async def work() -> str:
        return "done"

    assert await until_stopped(work(), asyncio.Event()) == "done"


async def test_a_stop_cancels_the_work_and_waits_for_its_end() -> None:
    stop, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    going = asyncio.ensure_future(until_stopped(work(), stop))
    await asyncio.sleep(0)
    stop.set()
    with pytest.raises(Stopped):
        await going
    assert ended.is_set()


async def test_whoever_is_cancelled_while_it_waits_takes_its_work_along() -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    going: asyncio.Future[Any] = asyncio.ensure_future(until_stopped(work(), asyncio.Event()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    assert ended.is_set()
