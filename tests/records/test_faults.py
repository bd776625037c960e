"""The database is full, locked, stopped or killed: nothing acknowledged is lost, and it goes on by itself."""

import asyncio
import ctypes
import os
import random
import resource
import signal
import sqlite3
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import psycopg
import pytest

from protocol.errors import Unavailable
from protocol.event import ResponseDelta, StepStarted
from protocol.ids import CallId, RunId
from records import events
from records.bus import bus_for
from records.database import Database
from records.follow import follow
from records.postgresql_hints import PostgreSQLHints
from records.run_end import RunOutcome, end
from records.tx import Tx
from records.writer import Writer
from tests.postgres import Cluster
from tests.records.test_processes import Appender
from tests.records.world import World, gapless

DONE = RunOutcome(status="completed", stop_reason="end_turn")


@asynccontextmanager
async def opened(url: str, folder: Path, *, patience_s: float = 5.0) -> AsyncGenerator[World]:
    database = Database.open(url, folder / "blobs", patience_s=patience_s)
    hints = bus_for(url, folder / "hints")
    await hints.start()
    database.migrate()
    writer = Writer(database, hints)
    try:
        yield await World.make(database, writer)
    finally:
        writer.close()
        await hints.close()
        database.close()


def piece(text: str, size: int = 2_000) -> ResponseDelta:
    return ResponseDelta(call_id=CallId("call_1"), attempt=1, block=0, delta=text + "." * size)


async def append(world: World, run_id: RunId, text: str) -> int | None:
    """Keyed, so that it may be tried again after a commit whose answer got lost."""
    return await world.commit(lambda tx: tx.append(run_id, piece(text), key=text), run_id)


async def patiently(world: World, run_id: RunId, text: str) -> int | None:
    """Tried again until it is acknowledged, as a caller does with a 503."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return await append(world, run_id, text)
        except Unavailable:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


@contextmanager
def small_disk(folder: Path) -> Generator[None]:
    """A file system of 4 MB where we may mount one, else a limit on the size of a file."""
    libc = ctypes.CDLL(None, use_errno=True)
    folder.mkdir()
    if os.geteuid() == 0 and libc.mount(b"none", bytes(folder), b"tmpfs", 0, b"size=4m") == 0:
        try:
            yield
        finally:
            libc.umount2(bytes(folder), 2)
        return
    yield


@contextmanager
def filled(folder: Path) -> Generator[None]:
    """While inside, hardly anything fits any more."""
    if os.path.ismount(folder):
        free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
        (folder / "filler").write_bytes(b"x" * max(0, free - 128 * 1024))
        yield
        (folder / "filler").unlink()
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    largest = max(path.stat().st_size for path in folder.iterdir() if path.is_file())
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest + 128 * 1024, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_loses_nothing_and_writing_goes_on_when_there_is_room(tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    with small_disk(folder):
        async with opened(f"sqlite:///{folder / 'rhone.db'}", tmp_path) as world:
            run_id = await world.run()
            kept: list[str] = []
            with filled(folder):
                with pytest.raises(Unavailable) as refused:
                    for number in range(2_000):
                        await append(world, run_id, f"a{number}")
                        kept.append(f"a{number}")
                assert refused.value.code == "storage.unavailable"
                assert kept
                assert [event["delta"].rstrip(".") for event in await world.log(run_id, after=2)] == kept
            for number in range(20):
                await append(world, run_id, f"b{number}")
                kept.append(f"b{number}")
            log = await world.log(run_id)
            assert gapless(log)
            assert [event["delta"].rstrip(".") for event in log[2:]] == kept


async def test_a_database_that_may_not_grow_says_so(tmp_path: Path) -> None:
    async with opened(f"sqlite:///{tmp_path / 'rhone.db'}", tmp_path) as world:
        run_id = await world.run()

        def no_room(tx: Tx) -> None:
            pages = tx.connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            tx.connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

        await world.commit(no_room)
        with pytest.raises(Unavailable, match="full"):
            for number in range(500):
                await append(world, run_id, f"a{number}")
        assert await append(world, run_id, "b") is not None
        assert gapless(await world.log(run_id))


async def test_a_locked_database_is_unavailable_and_not_waited_for_forever(url: str, tmp_path: Path) -> None:
    async with opened(url, tmp_path, patience_s=0.2) as world:
        run_id = await world.run()
        with locked(url, run_id):
            begun = time.monotonic()
            with pytest.raises(Unavailable) as refused:
                await append(world, run_id, "a")
            assert time.monotonic() - begun < 30
            assert refused.value.code == "storage.unavailable"
            assert len(await world.log(run_id)) == 2
        assert await append(world, run_id, "a") == 3


@contextmanager
def locked(url: str, run_id: RunId) -> Generator[None]:
    if url.startswith("sqlite"):
        other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        yield
        other.close()
        return
    with psycopg.connect(url.replace("+psycopg", "")) as holder:
        holder.execute("SELECT 1 FROM runs WHERE id = %s FOR UPDATE", (run_id,))
        yield
        holder.rollback()


async def test_a_database_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    newest = partial(events.pages, wanted=[(RunId("run_1"), 0)], limit=10)
    for url in (f"sqlite:///{tmp_path}/none/rhone.db", f"postgresql+psycopg://x@/x?host={tmp_path}"):
        database = Database.open(url, tmp_path / "blobs")
        hints = bus_for(url, tmp_path / "hints")
        writer = Writer(database, hints)
        for asked in (database.ping(), database.glance(newest), writer.commit(lambda tx: None)):
            with pytest.raises(Unavailable):
                await asked
        writer.close()
        database.close()


@pytest.mark.postgres
@pytest.mark.parametrize("kills", [1, pytest.param(20, marks=[pytest.mark.slow, pytest.mark.faults])])
async def test_a_killed_server_loses_nothing_acknowledged_and_is_found_again(
    tmp_path: Path, kills: int
) -> None:
    chance = random.Random(kills)
    with Cluster() as cluster:
        async with opened(cluster.url(cluster.create()), tmp_path) as world:
            hints = PostgreSQLHints(world.database.url)
            await hints.start()
            runs = await world.several_runs(5)
            readers = [asyncio.create_task(read_on(world, hints, run_id)) for run_id in runs]
            stop = asyncio.Event()

            async def work(run_id: RunId, lane: int) -> dict[str, int | None]:
                told: dict[str, int | None] = {}
                while not stop.is_set():
                    text = f"{lane}:{len(told)}"
                    told[text] = await patiently(world, run_id, text)
                return told

            lanes = [(run_id, lane) for run_id in runs for lane in range(2)]
            working = [asyncio.create_task(work(run_id, lane)) for run_id, lane in lanes]
            for _ in range(kills):
                await asyncio.sleep(chance.uniform(0.1, 0.5))
                await asyncio.to_thread(cluster.kill)
                await asyncio.sleep(chance.uniform(0, 1))
                await asyncio.to_thread(cluster.start)
                assert await patiently(world, runs[0], f"back {time.monotonic()}") is not None
                await asyncio.wait_for(hints.listening(), 60)
            stop.set()
            told = await asyncio.gather(*working)
            for run_id, reader in zip(runs, readers, strict=True):
                await world.commit(lambda tx, run=run_id: end(tx, run, DONE), run_id)
                log = await world.log(run_id)
                assert gapless(log)
                assert await asyncio.wait_for(reader, 60) == [event["seq"] for event in log]
                seqs = {event["delta"].rstrip("."): event["seq"] for event in log if "delta" in event}
                for (lane_run, _), said in zip(lanes, told, strict=True):
                    if lane_run == run_id:
                        assert said.keys() <= seqs.keys()
                        assert all(seq in (None, seqs[text]) for text, seq in said.items())
            await hints.close()


@pytest.mark.postgres
async def test_connections_that_were_cut_while_they_idled_cost_nobody_an_answer(
    cluster: Cluster, tmp_path: Path
) -> None:
    async with opened(cluster.url(cluster.create()), tmp_path) as world:
        run_id = await world.run()
        newest = partial(events.pages, wanted=[(run_id, 0)], limit=10)
        await asyncio.gather(*(world.database.glance(newest) for _ in range(8)))
        with psycopg.connect(world.database.url.replace("+psycopg", ""), autocommit=True) as other:
            mine = "datname = current_database() AND pid <> pg_backend_pid()"
            other.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {mine}")
        assert [[event.seq for event in page] for page in await world.database.glance(newest)] == [[1, 2]]
        assert await append(world, run_id, "a") == 3
        assert len(await world.log(run_id)) == 3


async def read_on(world: World, hints: PostgreSQLHints, run_id: RunId) -> list[int]:
    """Every event once, coming back with the cursor when the server was away."""
    seen: list[int] = []
    while True:
        try:
            async for page in follow(world.database, hints, run_id, seen[-1] if seen else 0):
                seen += [event.seq for event in page]
            return seen
        except Unavailable:
            await asyncio.sleep(0.05)


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.faults
async def test_a_stopped_process_does_not_keep_its_runs_locked(cluster: Cluster, tmp_path: Path) -> None:
    """It stops in the midst of a transaction; the server ends that, and nothing of it is seen."""
    async with opened(cluster.url(cluster.create()), tmp_path) as world:
        run_id = await world.run()
        zombie = await Appender.start(world, tmp_path, run_id, name="z", events=1, hold_s=1, lanes=1)
        await zombie.ready()
        going = asyncio.create_task(zombie.go())
        await asyncio.sleep(0.5)
        zombie.process.send_signal(signal.SIGSTOP)
        assert await patiently(world, run_id, "mine") == 3
        zombie.process.send_signal(signal.SIGCONT)
        await asyncio.wait_for(going, 60)
        assert zombie.acknowledged == {}
        assert await world.commit(lambda tx: tx.append(run_id, StepStarted(step=1)), run_id) == 4
        assert gapless(await world.log(run_id))
