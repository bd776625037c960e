"""Runs as they are served: begun and answered at once, at their end, or as a stream; listed and read."""

from contextlib import aclosing
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Reader, Runner
from gateway.answers import Listed, many, one
from gateway.bodies import Body, documented, read_body
from gateway.gateway import Gateway, Here
from gateway.names import run_named, session_named
from gateway.room import become_stream
from gateway.starts import replayed
from protocol.ids import RunId
from protocol.principal import Caller
from protocol.run import TERMINAL, Run, RunStatus
from records import events, runs
from records.paging import Page, PageRequest
from records.run_record import RunRecord

router = APIRouter(tags=["runs"])

EVENT_STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Server-sent events: `id` is the event's seq, `data` one event.",
        "content": {"text/event-stream": {"schema": {"$ref": "#/components/schemas/Event"}}},
    }
}


class RunFilter(PageRequest):
    """Which runs of the project are listed."""

    session_id: str | None = None
    parent_run_id: str | None = None
    status: RunStatus | None = None


@router.post("/v1/runs", status_code=201, response_model=Run, openapi_extra=documented("RunRequest"))
async def create_run(request: Request, here: Here, caller: Runner) -> Response:
    """Answers at once, or with `"mode": "wait"` when the run ends or waits for somebody."""
    body = await read_body(request)
    if _waits(body):
        become_stream(request)
    done = await here.starts.begin(request, caller, body)
    record = done.value or replayed(done, await _read(here, caller, done.resource_id))
    run = await _settled(here, caller, record.run) if _waits(body) else record.run
    return one(run, done.status, done.headers)


@router.post(
    "/v1/runs:stream",
    response_class=Response,
    responses=EVENT_STREAM,
    openapi_extra=documented("RunRequest"),
)
async def stream_run(request: Request, here: Here, caller: Runner) -> Response:
    """The same body; the answer is the new run's event stream, from its first event on."""
    body = await read_body(request)
    become_stream(request)
    done = await here.starts.begin(request, caller, body)
    if done.value is not None:
        extent = events.Extent(1, done.value.run.last_seq, ended=False)
    else:
        replayed(done, await _read(here, caller, done.resource_id))
        extent = await here.database.read(lambda c: _extent(c, RunId(done.resource_id)))
    cursor = events.cursor(extent, "0")
    return here.streams.answer(request, RunId(done.resource_id), cursor, extent, headers=done.headers)


@router.get("/v1/runs", response_model=Listed[Run])
async def list_runs(here: Here, caller: Reader, asked: Annotated[RunFilter, Query()]) -> Response:
    def query(connection: Connection) -> Page[Run]:
        session, parent = asked.session_id, asked.parent_run_id
        named = session_named(connection, caller.tenant, session, param="session_id") if session else None
        return runs.list_runs(
            connection,
            caller.tenant,
            asked,
            session_id=named.id if named else None,
            parent_run_id=run_named(connection, caller.tenant, parent).run.id if parent else None,
            status=asked.status,
        )

    return many(await here.database.read(query))


@router.get("/v1/runs/{run_id}", response_model=Run)
async def get_run(here: Here, caller: Reader, run_id: str) -> Response:
    return one((await _read(here, caller, run_id)).run)


def _waits(body: Body) -> bool:
    return isinstance(body.value, dict) and body.value.get("mode") == "wait"


async def _read(here: Gateway, caller: Caller, run_id: str) -> RunRecord:
    return await here.database.read(lambda c: run_named(c, caller.tenant, run_id))


async def _settled(here: Gateway, caller: Caller, run: Run) -> Run:
    """The run when it ends or waits for somebody, or as it stands when the gateway's patience ends."""
    patience_s = here.config.limits.wait_seconds
    async with aclosing(here.feed.watch(run.id, run.last_seq, run.last_seq, patience_s=patience_s)) as pages:
        while not (run.status in TERMINAL or run.status == "waiting"):
            frames = await anext(pages, None)
            if not frames or any(frame.type == "run.waiting" or frame.is_last for frame in frames):
                run = (await _read(here, caller, run.id)).run
            if not frames:
                break
    return run


def _extent(connection: Connection, run_id: RunId) -> events.Extent:
    extent = events.extent(connection, run_id)
    assert extent is not None
    return extent
