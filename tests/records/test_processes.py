"""Many processes on one log: without a gap, without a loss, whoever is slow or killed."""

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from protocol.event import StepStarted
from protocol.ids import RunId
from records import events
from records.bus import bus_for
from records.events import StoredEvent
from records.follow import follow
from records.hints import Hints
from records.run_end import RunOutcome, end
from tests.records.world import World, gapless

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("appender.py")
DONE = RunOutcome(status="completed", stop_reason="end_turn")


class Appender:
    """Another process that appends; `acknowledged` maps its own numbers to the seqs it was given."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.acknowledged: dict[int, int] = {}

    @classmethod
    async def start(cls, world: World, folder: Path, run_id: RunId, **order: Any) -> "Appender":
        order = {
            "url": world.database.url,
            "blobs": str(folder / "blobs"),
            "hints": str(folder / "hints"),
            "run_id": run_id,
            "hold_s": 0,
            "lanes": 50,
            **order,
        }
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(PROGRAM), json.dumps(order), stdin=pipe, stdout=pipe
        )
        return cls(process)

    async def ready(self) -> None:
        assert self.process.stdout is not None
        assert await self.process.stdout.readline() == b"ready\n"

    async def go(self) -> None:
        """Until it has ended, in whatever way."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(b"go\n")
        async for line in self.process.stdout:
            number, seq = line.split()
            self.acknowledged[int(number)] = int(seq)
        await self.process.wait()


async def read_on(world: World, hints: Hints, run_id: RunId) -> list[StoredEvent]:
    return [event async for page in follow(world.database, hints, run_id, 0) for event in page]


@pytest.mark.parametrize(
    ("processes", "number", "hold_s"),
    [(2, 300, 0.3), pytest.param(8, 5_000, 1.5, marks=pytest.mark.slow)],
    ids=["small", "full"],
)
async def test_many_processes_write_one_log_while_a_reader_follows(
    world: World, hints: Hints, tmp_path: Path, processes: int, number: int, hold_s: float
) -> None:
    run_id = await world.run()
    writers = [
        await Appender.start(
            world, tmp_path, run_id, name=f"w{n}", events=number, hold_s=hold_s if n == 0 else 0
        )
        for n in range(processes)
    ]
    await asyncio.gather(*(writer.ready() for writer in writers))
    reading = asyncio.create_task(read_on(world, hints, run_id))
    await asyncio.wait_for(asyncio.gather(*(writer.go() for writer in writers)), 300)
    await world.commit(lambda tx: end(tx, run_id, DONE), run_id)
    seen = await asyncio.wait_for(reading, 60)
    assert [event.seq for event in seen] == list(range(1, processes * number + 4))
    log = [json.loads(event.data) for event in seen]
    assert gapless(log)
    by_text = {event["delta"]: event["seq"] for event in log if event["type"] == "response.delta"}
    assert len(by_text) == processes * number
    for n, writer in enumerate(writers):
        assert writer.process.returncode == 0
        assert writer.acknowledged == {i: by_text[f"w{n}:{i}"] for i in range(number)}
        assert sorted(writer.acknowledged.values()) == [writer.acknowledged[i] for i in range(number)]


@pytest.mark.parametrize("kills", [1, pytest.param(10, marks=[pytest.mark.slow, pytest.mark.faults])])
async def test_a_killed_process_loses_nothing_that_was_acknowledged(
    world: World, tmp_path: Path, kills: int
) -> None:
    run_id = await world.run()
    for round_number in range(kills):
        writer = await Appender.start(
            world, tmp_path, run_id, name=f"r{round_number}", events=100_000, lanes=8
        )
        await writer.ready()
        going = asyncio.create_task(writer.go())
        deadline = time.monotonic() + 60
        while len(writer.acknowledged) < 150 and time.monotonic() < deadline:
            await asyncio.sleep(0.002)
        writer.process.send_signal(signal.SIGKILL)
        await asyncio.wait_for(going, 60)
        after = await world.commit(lambda tx: tx.append(run_id, StepStarted(step=1)), run_id)
        log = await world.log(run_id)
        assert gapless(log)
        assert log[-1]["seq"] == after == (await world.record(run_id)).run.last_seq
        for number, seq in writer.acknowledged.items():
            assert log[seq - 1]["delta"] == f"r{round_number}:{number}"


@pytest.mark.slow
async def test_a_hint_reaches_another_process_long_before_it_would_look_again(
    world: World, tmp_path: Path
) -> None:
    """Each wait is ended by a hint."""
    run_id = await world.run()
    hints = bus_for(world.database.url, tmp_path / "hints")
    await hints.start()
    writer = await Appender.start(world, tmp_path, run_id, name="w", events=50, lanes=1)
    await writer.ready()

    async def watch() -> None:
        last = 2
        with hints.subscribe(("events", run_id)) as grown:
            watched.set()
            while last < 52:
                assert await grown.wait(last, 30)
                last = grown.number

    watched = asyncio.Event()
    watching = asyncio.create_task(watch())
    await watched.wait()
    await writer.go()
    await watching
    assert len(await world.read(lambda connection: events.page(connection, run_id, 2, 100))) == 50
    await hints.close()
