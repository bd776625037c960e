"""`recover`: how long a run stands still when a process is killed, and that nothing is done or told twice."""

import asyncio
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import httpx2

from bench.bare import QUEUE, SLEEP_S, Steps
from bench.figures import Goal, Pair, Row, alone
from bench.listener import Listener, listen
from bench.runs import begin, ended, moment, moments
from bench.scale import Scale
from bench.servers import Stack, fresh_stack, until
from cli.home import Home
from cli.settings import read_settings
from cli.supervise.child import Child, Program
from cli.supervise.logs import Log
from protocol.ids import RunId
from records import events
from records.events import StoredEvent

CALLS = 24
STEPS = 20
SURELY_AWAY_S = 0.05
"""What was under way when Temporal died may still begin so soon after."""

CONFIG = """
[providers.local]
protocol = "scripted"
models = ["m"]
script = "script.toml"
[targets.dev]
kind = "workspace"
[workspaces]
pool_size = 0
"""

COMMAND = f'{{ name = "bash", arguments = {{ command = "echo . >> log; sleep {SLEEP_S}" }} }}'
SCRIPT = f"""
[[scenarios]]
when = "hello"
[[scenarios.turns]]
text = "Hello."
[[scenarios]]
[[scenarios.turns]]
tool_calls = [{", ".join([COMMAND] * CALLS)}]
[[scenarios.turns]]
tool_calls = [{{ name = "bash", arguments = {{ command = "wc -l < log" }} }}]
[[scenarios.turns]]
text = "done"
"""

BODY = {
    "input": "go",
    "target": {"kind": "workspace", "name": "dev"},
    "limits": {"parallel_tools": False},
}


async def measure(scale: Scale) -> list[Row]:
    worker: list[Pair] = []
    temporal: list[Pair] = []
    repeated: list[float] = []
    wrong: list[float] = []
    away: list[float] = []
    cold: list[float] = []
    for _ in range(scale.repeats):
        async with fresh_stack(config=CONFIG, script=SCRIPT) as stack:
            await stack.worker()
            await stack.gateway()
            await stack.bare_worker()
            for pairs, kill in ((worker, _kill_worker), (temporal, _kill_temporal)):
                pair, again = await kill(stack)
                pairs.append(pair)
                repeated.append(again)
            missing, seconds = await _kill_gateway(stack)
            wrong.append(missing)
            away.append(seconds)
        cold.append(await _cold_start())
    limits = (Goal("<=", 1.5), Goal("<=", 2.5, of="ours"))
    nothing = (Goal("<=", 0, of="ours"),)
    return [
        Row("SIGKILL of the worker → next event : bare worker → next activity", "s", tuple(worker), limits),
        Row("SIGKILL of Temporal → next event : bare → next activity", "s", tuple(temporal), limits),
        Row("effects repeated over these kills", "", (alone(sum(repeated)),), nothing),
        Row("SIGKILL of the gateway: events that a client lacks or has twice", "", _each(wrong), nothing),
        Row("SIGKILL of the gateway → the client's next event", "s", _each(away)),
        Row("cold `rhone up` → first finished run", "s", _each(cold), (Goal("<=", 3.0, of="ours"),)),
    ]


def _each(values: list[float]) -> tuple[Pair, ...]:
    return tuple(alone(value) for value in values)


async def _kill_worker(stack: Stack) -> tuple[Pair, float]:
    ours, again = await _ours(stack, "worker", 0.0)
    bare = await _bare(stack, "bare", 0.0)
    return Pair(base=bare, ours=ours), again


async def _kill_temporal(stack: Stack) -> tuple[Pair, float]:
    ours, again = await _ours(stack, "temporal", SURELY_AWAY_S, kind="tool_execution.started")
    bare = await _bare(stack, "temporal", SURELY_AWAY_S)
    return Pair(base=bare, ours=ours), again


async def _ours(stack: Stack, victim: str, surely: float, *, kind: str = "") -> tuple[float, float]:
    """Seconds from the kill to the run's next event, and how many of its effects were done twice."""
    run_id = await begin(stack, BODY)
    await _seen(stack, run_id, "tool_execution.started", 6)
    killed = time.time()
    sure = killed + surely + await stack.restart(victim)
    told = await ended(stack, run_id)
    after = [moment(event) for event in told if moment(event) > sure and kind in event.type]
    return after[0] - killed, _lines(told) - CALLS


def _lines(told: list[StoredEvent]) -> int:
    """What the last command counted in the file to which each of the others has added one line."""
    last = [event for event in told if event.type == "tool_execution.completed"][-1]
    return int(json.loads(last.data)["preview"])


async def _bare(stack: Stack, victim: str, surely: float) -> float:
    steps = Steps(activity="bare_sleep", count=STEPS, queue=QUEUE)
    under_way = asyncio.create_task(stack.bare("bare_steps", steps))
    await asyncio.sleep(7.5 * SLEEP_S)
    killed = time.monotonic()
    sure = killed + surely + await stack.restart(victim)
    began: list[float] = await under_way
    return next(at for at in began if at > sure) - killed


async def _kill_gateway(stack: Stack) -> tuple[float, float]:
    """A client that comes back with the last `seq` that it has: events wrong, and seconds without one."""
    run_id = await begin(stack, BODY)
    following = asyncio.create_task(_follow(stack, run_id))
    await _seen(stack, run_id, "tool_execution.started", 6)
    killed = time.monotonic()
    await stack.restart("gateway")
    told = await ended(stack, run_id)
    listeners = await asyncio.wait_for(following, 20)
    held = [data for listener in listeners for data in listener.data]
    kept = [event.data for event in told]
    wrong = sum(one != other for one, other in zip(held, kept, strict=False)) + abs(len(held) - len(kept))
    next_one = min(at for listener in listeners[1:] for _, at in listener.came)
    return wrong, next_one - killed


async def _follow(stack: Stack, run_id: RunId) -> list[Listener]:
    """One connection after the other, until the stream has ended by itself."""
    key = stack.place.home.admin_key.read_text().strip()
    listeners: list[Listener] = []
    while not (listeners and any(b'"type":"run.completed"' in data for data in listeners[-1].data)):
        seq = next((one.last for one in reversed(listeners) if one.last), 0)
        headers = {"Authorization": f"Bearer {key}", **({"Last-Event-ID": str(seq)} if seq else {})}
        try:
            listener = await listen(stack.place.port, f"/v1/runs/{run_id}/events", headers)
        except OSError:
            await asyncio.sleep(0.01)
            continue
        listeners.append(listener)
        await listener.over.wait()
    return listeners


async def _seen(stack: Stack, run_id: RunId, kind: str, count: int) -> None:
    async with asyncio.timeout(30):
        while True:
            page = await stack.database.read(lambda c: events.page(c, run_id, 0, 256))
            if len(moments(page, kind)) >= count:
                return
            await asyncio.sleep(0.02)


async def _cold_start() -> float:
    """From nothing but a configuration to a run that has ended."""
    root = Path(tempfile.mkdtemp(prefix="rhone-bench-"))
    try:
        (root / "script.toml").write_text(SCRIPT)
        (root / "rhone.toml").write_text(CONFIG)
        home = Home(root / "data")
        home.make()
        argv = (sys.executable, "-m", "cli.main", "up", "--port", "0", "--data", str(home.root))
        environment = {**os.environ, "RHONE_CACHE": str(read_settings().cache)}
        program = Program("up", (*argv, "--config", str(root / "rhone.toml")), environment)
        began = time.monotonic()
        child = Child(program, Log(root / "up.log"))
        try:
            await _first_run(home)
            return time.monotonic() - began
        finally:
            await child.stop(20)
    finally:
        shutil.rmtree(root, ignore_errors=True)


async def _first_run(home: Home) -> None:
    await until(home.address.exists)
    async with httpx2.AsyncClient(trust_env=False, timeout=30) as http:
        headers = {"authorization": f"Bearer {home.admin_key.read_text().strip()}"}
        body = {"input": "hello", "model": "m", "mode": "wait"}
        url = f"{home.address.read_text().strip()}/v1/runs"
        run = (await http.post(url, json=body, headers=headers)).raise_for_status().json()
        if run["status"] != "completed":
            raise RuntimeError(f"the first run is {run['status']}")
