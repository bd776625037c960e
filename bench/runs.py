"""Runs as the benches begin and read them: straight through records and Temporal, as the gateway does it."""

import asyncio
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bench.servers import Stack
from protocol.block import InputDraft, TextPart
from protocol.ids import RunId, SessionId, fresh
from protocol.run import Limits, RunRequest
from protocol.session import SessionRequest
from protocol.strict import parse
from records import runs, sessions
from records.events import StoredEvent
from records.follow import follow
from records.principals import ADMIN, DEFAULT
from records.tx import Tx
from workflows.messages import RunStart
from workflows.options import WORKFLOW_TASK_TIMEOUT
from workflows.signatures import RUN_WORKFLOW, WORKER_QUEUE

MODEL = "m"

COUNTING_CONFIG = """
counting_tools = "counted"
[providers.local]
protocol = "scripted"
models = ["m"]
script = "script.toml"
"""
"""No box: tools that only count, on the worker's own queue."""

PARKED_TOOL = "count_non_idempotent_write"
PARKED = {"input": "park", "capabilities": [{"kind": "tool", "name": PARKED_TOOL}]}
PARKED_SCRIPT = f"""
[[scenarios]]
when = "park"
[[scenarios.turns]]
tool_calls = [{{ name = "{PARKED_TOOL}" }}]
[[scenarios.turns]]
text = "done"
"""
"""A run that asks for an approval, and ends when it has one."""


async def intend(stack: Stack, body: dict[str, Any]) -> RunId:
    """A new run in a session of its own, of which no worker knows yet."""
    request = parse(RunRequest, json.dumps({"model": MODEL, **body}).encode())
    run_id, session_id = RunId(fresh("run_")), SessionId(fresh("sess_"))
    limits = Limits().model_copy(update=request.limits.model_dump(exclude_none=True))
    new = runs.NewRun(
        id=run_id,
        tenant=DEFAULT,
        principal_id=ADMIN,
        session_id=session_id,
        request=request,
        model=MODEL,
        limits=limits,
        blocks=(InputDraft(content=(TextPart(text=request.input or ""),)),),
    )

    def unit(tx: Tx) -> None:
        sessions.create(tx, DEFAULT, session_id, SessionRequest())
        runs.create(tx, new)

    await stack.writer.commit(unit, runs=[run_id])
    return run_id


async def begin(stack: Stack, body: dict[str, Any]) -> RunId:
    """A new run, its workflow started."""
    run_id = await intend(stack, body)
    await stack.client.start_workflow(
        RUN_WORKFLOW,
        RunStart(run_id=run_id),
        id=run_id,
        task_queue=WORKER_QUEUE,
        task_timeout=WORKFLOW_TASK_TIMEOUT,
    )
    return run_id


async def ended(stack: Stack, run_id: RunId) -> list[StoredEvent]:
    """All events of a run, once it has completed. Nobody follows it meanwhile."""
    await stack.client.get_workflow_handle(run_id).result()
    told: list[StoredEvent] = []
    async for page in follow(stack.database, stack.hints, run_id, 0):
        told += page
    if told[-1].type != "run.completed":
        raise RuntimeError(f"{run_id} did not complete: {told[-1].data.decode()}")
    return told


async def carried_out(stack: Stack, body: dict[str, Any]) -> list[StoredEvent]:
    return await ended(stack, await begin(stack, body))


async def park(stack: Stack, count: int, *, at_once: int = 16) -> list[RunId]:
    """Runs that wait for an approval."""
    room = asyncio.Semaphore(at_once)

    async def one() -> RunId:
        async with room:
            run_id = await begin(stack, PARKED)
            async for page in follow(stack.database, stack.hints, run_id, 0):
                if any(event.type == "run.waiting" for event in page):
                    return run_id
        raise RuntimeError(f"{run_id} ended without waiting")

    return list(await asyncio.gather(*(one() for _ in range(count))))


def moment(event: StoredEvent) -> float:
    """Seconds of the database's clock, in whole milliseconds."""
    return datetime.fromisoformat(json.loads(event.data)["at"]).timestamp()


def moments(told: Sequence[StoredEvent], kind: str) -> list[float]:
    return [moment(event) for event in told if event.type == kind]
