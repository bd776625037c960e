"""`stream`: from an event's commit to the client that follows it, with every process of its own."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from bench.figures import Goal, Pair, Row, alone, percentile
from bench.listener import Listener, listen
from bench.runs import COUNTING_CONFIG, PARKED_SCRIPT, intend
from bench.scale import Scale
from bench.servers import Stack, fresh_stack
from protocol.ids import RunId
from tests.postgres import Cluster

RUNS = 50
INTERVAL_MS = 25
LIMITS = {"SQLite": (1.0, 4.0), "PostgreSQL": (1.5, 5.0)}
ARRIVES_S = 20.0


BUSY = (
    "who commits, the gateway, its clients and the database take turns on the machine's cores; what holds the"
    " slowest of the events up was not traced further"
)


@dataclass(frozen=True)
class Told:
    """One series: milliseconds from commit to client, events a second, and what did not come as it should."""

    latencies: list[float]
    rate: float
    wrong: int


async def measure(scale: Scale) -> list[Row]:
    rows: list[Row] = []
    with Cluster() as cluster:
        for engine in LIMITS:
            paced: list[Told] = []
            flooded: list[Told] = []
            silent: list[Told] = []
            for _ in range(scale.repeats):
                url = None if engine == "SQLite" else cluster.url(cluster.create())
                async with fresh_stack(
                    config=COUNTING_CONFIG, script=PARKED_SCRIPT, database_url=url
                ) as stack:
                    silent.append(await _series(stack, scale.of(10, 4), 0, heard=False))
                    await stack.gateway()
                    paced.append(await _series(stack, scale.of(20, 6), INTERVAL_MS))
                    flooded.append(await _series(stack, scale.of(10, 4), 0))
            rows += _rows(engine, paced, flooded, silent)
    return rows


def _rows(engine: str, paced: list[Told], flooded: list[Told], silent: list[Told]) -> list[Row]:
    half, most = LIMITS[engine]
    said = f"{engine}: commit → client, {RUNS} runs, an event each {INTERVAL_MS} ms"
    wrong = sum(told.wrong for told in [*paced, *flooded])
    rates = tuple(Pair(before.rate, after.rate) for before, after in zip(silent, flooded, strict=True))
    return [
        Row(f"{said}, p50", "ms", _alone(paced, 50), (Goal("<=", half, of="ours"),), BUSY),
        Row(f"{said}, p99", "ms", _alone(paced, 99), (Goal("<=", most, of="ours"),), BUSY),
        Row(
            f"{engine}: events delivered a second, as fast as it goes : only inserted",
            "/s",
            rates,
            (Goal(">=", 0.5),),
        ),
        Row(f"{engine}: missing or out of order", "", (alone(wrong),), (Goal("<=", 0, of="ours"),)),
    ]


def _alone(told: list[Told], percent: int) -> tuple[Pair, ...]:
    return tuple(alone(percentile(one.latencies, percent)) for one in told)


async def _series(stack: Stack, seconds: float, interval_ms: float, *, heard: bool = True) -> Told:
    runs = [await intend(stack, {"input": "park"}) for _ in range(RUNS)]
    if not heard:
        produced = await _produce(stack, runs, seconds, interval_ms)
        return Told([], _count(produced) / produced["seconds"], 0)
    async with _listening(stack, runs) as listeners:
        produced = await _produce(stack, runs, seconds, interval_ms)
        committed: dict[str, dict[str, float]] = produced["committed"]
        ends = {run_id: max(map(int, seqs)) for run_id, seqs in committed.items()}
        await _arrived(listeners, ends)
    latencies = [
        1000 * (at - committed[run_id][str(seq)])
        for run_id, listener in listeners.items()
        for seq, at in listener.came
        if str(seq) in committed[run_id]
    ]
    wrong = sum(listener.gaps + (listener.last != ends[run_id]) for run_id, listener in listeners.items())
    first = min(at for seqs in committed.values() for at in seqs.values())
    last = max(listener.came[-1][1] for listener in listeners.values())
    return Told(latencies, _count(produced) / (last - first), wrong)


def _count(produced: dict[str, Any]) -> int:
    """An event a commit of its run; a batch may hold several runs, never two events of one."""
    return sum(len(seqs) for seqs in produced["committed"].values())


async def _produce(stack: Stack, runs: list[RunId], seconds: float, interval_ms: float) -> dict[str, Any]:
    root = stack.place.home.root
    (root / "produce.json").write_text(json.dumps(runs))
    told = (str(root), stack.database.url, str(seconds), str(interval_ms))
    child = stack.start(stack.python("producer", "-m", "bench.producer", *told))
    if await child.end():
        raise RuntimeError(stack.log("producer")[-2000:])
    return json.loads((root / "produced.json").read_text())


@asynccontextmanager
async def _listening(stack: Stack, runs: list[RunId]) -> AsyncGenerator[dict[RunId, Listener]]:
    key = stack.place.home.admin_key.read_text().strip()
    headers = {"Authorization": f"Bearer {key}"}
    listeners = {
        run_id: await listen(stack.place.port, f"/v1/runs/{run_id}/events", headers) for run_id in runs
    }
    try:
        yield listeners
    finally:
        for listener in listeners.values():
            listener.close()


async def _arrived(listeners: dict[RunId, Listener], ends: dict[str, int]) -> None:
    """Until all is there, or nothing has come for long: what is missing is counted, not waited for."""
    deadline = asyncio.get_running_loop().time() + ARRIVES_S
    while asyncio.get_running_loop().time() < deadline:
        if all(listener.last >= ends[run_id] for run_id, listener in listeners.items()):
            return
        await asyncio.sleep(0.02)
