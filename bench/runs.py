"""Runs as the benches begin and read them: straight through records and Temporal, as the gateway does it."""

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


async def begin(stack: Stack, body: dict[str, Any]) -> RunId:
    """A new run in a session of its own, its workflow started."""
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
    await stack.client.start_workflow(
        RUN_WORKFLOW,
        RunStart(run_id=run_id),
        id=run_id,
        task_queue=WORKER_QUEUE,
        task_timeout=WORKFLOW_TASK_TIMEOUT,
    )
    return run_id


async def ended(stack: Stack, run_id: RunId) -> list[StoredEvent]:
    """All events of a run, once it has completed."""
    told: list[StoredEvent] = []
    async for page in follow(stack.database, stack.hints, run_id, 0):
        told += page
    if told[-1].type != "run.completed":
        raise RuntimeError(f"{run_id} did not complete: {told[-1].data.decode()}")
    return told


async def carried_out(stack: Stack, body: dict[str, Any]) -> list[StoredEvent]:
    return await ended(stack, await begin(stack, body))


def moment(event: StoredEvent) -> float:
    """Seconds of the database's clock, in whole milliseconds."""
    return datetime.fromisoformat(json.loads(event.data)["at"]).timestamp()


def moments(told: Sequence[StoredEvent], kind: str) -> list[float]:
    return [moment(event) for event in told if event.type == kind]
