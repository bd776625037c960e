"""A process that appends to runs as a worker does: through the one writer, a delta at a time.

`python -m bench.producer DIRECTORY DATABASE-URL SECONDS INTERVAL-MS`: an interval of 0 is as fast as it goes.
Reads `produce.json`, the runs; writes `produced.json`: when each of their events was on disk.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from protocol.event import ResponseDelta
from protocol.ids import CallId, RunId, derived
from records import calls, runs
from records.bus import bus_for
from records.database import Database
from records.hints import Hints, Subscription, Topic
from records.principals import DEFAULT
from records.tx import Tx
from records.writer import Writer

DELTA = "Some forty characters of a model's text."


class Stamping:
    """Hints that first note when the commit was over; the writer gives them right after it."""

    def __init__(self, inner: Hints) -> None:
        self.committed: dict[str, dict[int, float]] = {}
        self._inner = inner

    async def start(self) -> None:
        await self._inner.start()

    async def close(self) -> None:
        await self._inner.close()

    def publish(self, hints: Mapping[Topic, int]) -> None:
        now = time.monotonic()
        for (kind, run_id), number in hints.items():
            if kind == "events":
                self.committed.setdefault(run_id, {})[number] = now
        self._inner.publish(hints)

    def listen(self, topic: Topic, hear: Callable[[int], None]) -> AbstractContextManager[None]:
        return self._inner.listen(topic, hear)

    def subscribe(self, topic: Topic) -> AbstractContextManager[Subscription]:
        return self._inner.subscribe(topic)


async def produce(directory: Path, url: str, seconds: float, interval: float) -> None:
    names = [RunId(name) for name in json.loads((directory / "produce.json").read_text())]
    database = Database.open(url, directory / "blobs")
    hints = Stamping(bus_for(url, directory / "hints"))
    await hints.start()
    writer = Writer(database, hints)
    for run_id in names:
        await writer.commit(lambda tx, run_id=run_id: _begin(tx, run_id), runs=[run_id])
    hints.committed.clear()
    began = time.monotonic()
    await asyncio.gather(
        *(
            _append(writer, run_id, began + interval * number / len(names), began + seconds, interval)
            for number, run_id in enumerate(names)
        )
    )
    took = time.monotonic() - began
    writer.close()
    await hints.close()
    told = {"seconds": took, "committed": hints.committed}
    (directory / "produced.json").write_text(json.dumps(told))


def _begin(tx: Tx, run_id: RunId) -> None:
    record = runs.load(tx.connection, run_id)
    assert record is not None
    call = calls.NewCall(
        id=_call_of(run_id),
        tenant=DEFAULT,
        session_id=record.run.session_id,
        run_id=run_id,
        step=1,
        model="m",
        resolved_model="m",
    )
    calls.create(tx, call)
    calls.start_attempt(tx, call.id)


async def _append(writer: Writer, run_id: RunId, first: float, until: float, interval: float) -> None:
    delta = ResponseDelta(call_id=_call_of(run_id), attempt=1, block=0, delta=DELTA)
    due = first
    while time.monotonic() < until:
        if interval:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            due += interval
        await writer.commit(
            lambda tx: calls.append_deltas(tx, run_id, delta.call_id, 1, [delta]), runs=[run_id]
        )


def _call_of(run_id: RunId) -> CallId:
    return CallId(derived("call_", run_id, 1))


if __name__ == "__main__":
    asyncio.run(produce(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), float(sys.argv[4]) / 1000))
    os._exit(0)
