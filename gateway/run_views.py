"""What a run consists of: its events, steps, calls, tools, checkpoints, authority, requests and changes."""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Reader
from gateway.answers import Forward, Listed, cut, many, one, page_of_texts
from gateway.gateway import Gateway, Here
from gateway.names import run_named
from gateway.runs import EVENT_STREAM
from gateway.snapshots import SnapshotView, snapshot_view
from harness.context import request_for
from protocol.checkpoint import Checkpoint
from protocol.errors import InvalidRequest, NotFound
from protocol.ids import CallId, RunId
from protocol.model import ModelRequest
from protocol.noun import Noun
from protocol.principal import Caller
from protocol.run import Call, Step
from protocol.tool import ToolExecution
from records import blocks, calls, checkpoints, events, snapshots, steps, tool_executions
from records.paging import PageRequest
from records.run_record import RunRecord

router = APIRouter(tags=["runs"])
N = TypeVar("N", bound=BaseModel)


class EventsQuery(Noun):
    """Where to begin: `Last-Event-ID` beats `after_seq`, which beats `cursor`."""

    after_seq: str | None = None
    cursor: str | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    order: Literal["asc"] = "asc"


class EffectiveRequest(Noun):
    """What the model was asked in a step, as it is derived from the snapshot and the blocks."""

    step: int
    call_id: CallId
    request: ModelRequest


@router.get("/v1/runs/{run_id}/events", responses=EVENT_STREAM)
async def read_events(
    request: Request, here: Here, caller: Reader, run_id: str, asked: Annotated[EventsQuery, Query()]
) -> Response:
    """With `Accept: text/event-stream` what happened and what follows; a JSON page otherwise."""

    def query(connection: Connection) -> tuple[RunRecord, events.Extent]:
        record = run_named(connection, caller.tenant, run_id)
        extent = events.extent(connection, record.run.id)
        assert extent is not None
        return record, extent

    named = (_sent_cursor(request), asked.after_seq, asked.cursor)
    record, extent = await here.database.read(query)
    cursor = events.cursor(extent, next((text for text in named if text is not None), None))
    if extent.ended and cursor == extent.last:
        return Response(status_code=204)
    if "text/event-stream" in request.headers.get("accept", ""):
        return here.streams.answer(request, record.run.id, cursor, extent)
    page = await here.database.read(lambda c: events.page(c, record.run.id, cursor, asked.limit + 1))
    more = len(page) > asked.limit
    page = page[: asked.limit]
    return page_of_texts([event.data.decode() for event in page], str(page[-1].seq) if more else None)


@router.get("/v1/runs/{run_id}/steps", response_model=Listed[Step])
async def list_steps(here: Here, caller: Reader, run_id: str, page: Annotated[Forward, Query()]) -> Response:
    return await _listed(here, caller, run_id, page, steps.list_steps, lambda step: str(step.index))


@router.get("/v1/runs/{run_id}/calls", response_model=Listed[Call])
async def list_calls(here: Here, caller: Reader, run_id: str, page: Annotated[Forward, Query()]) -> Response:
    return await _listed(here, caller, run_id, page, calls.list_calls, lambda call: call.id)


@router.get("/v1/runs/{run_id}/tool-executions", response_model=Listed[ToolExecution])
async def list_tool_executions(
    here: Here, caller: Reader, run_id: str, page: Annotated[Forward, Query()]
) -> Response:
    return await _listed(here, caller, run_id, page, tool_executions.list_executions, lambda one: one.id)


@router.get("/v1/runs/{run_id}/checkpoints", response_model=Listed[Checkpoint])
async def list_checkpoints(
    here: Here, caller: Reader, run_id: str, page: Annotated[Forward, Query()]
) -> Response:
    return await _listed(here, caller, run_id, page, checkpoints.of_run, lambda one: one.id)


@router.get("/v1/runs/{run_id}/capability-snapshot", response_model=SnapshotView)
async def get_run_snapshot(here: Here, caller: Reader, run_id: str) -> Response:
    """What the run may do, once that is resolved."""

    def query(connection: Connection) -> SnapshotView:
        snapshot_id = run_named(connection, caller.tenant, run_id).run.capability_snapshot_id
        if snapshot_id is None:
            raise NotFound("run.not_resolved", "the run's capabilities are not resolved yet")
        return snapshot_view(connection, caller.tenant, snapshot_id)

    return one(await here.database.read(query))


@router.get("/v1/runs/{run_id}/effective-request", response_model=EffectiveRequest)
async def get_effective_request(
    here: Here, caller: Reader, run_id: str, step: Annotated[int, Query(ge=1)]
) -> Response:
    """What the model was asked in a step."""

    def query(connection: Connection) -> EffectiveRequest:
        record = run_named(connection, caller.tenant, run_id)
        found = steps.get(connection, record.run.id, step)
        call = calls.load(connection, found.call_id) if found else None
        snapshot_id = record.run.capability_snapshot_id
        snapshot = snapshots.load(connection, snapshot_id) if snapshot_id else None
        if call is None or snapshot is None:
            raise NotFound("run.step_not_found", f"the run has no step {step}", param="step")
        asked = request_for(
            snapshot,
            blocks.head_before(connection, record.history, call.id, call.created_at),
            wire_model=here.registry.resolve(call.resolved_model).wire_model,
            own_instructions=record.instructions,
            limits=record.run.limits,
            json_schema=record.request.output.json_schema if record.request.output else None,
            cache_key=record.run.session_id,
        )
        return EffectiveRequest(step=step, call_id=call.id, request=asked)

    return one(await here.database.read(query))


async def _listed(
    here: Gateway,
    caller: Caller,
    run_id: str,
    page: PageRequest,
    items: Callable[[Connection, RunId], Sequence[N]],
    name: Callable[[N], str],
) -> Response:
    def query(connection: Connection) -> Sequence[N]:
        return items(connection, run_named(connection, caller.tenant, run_id).run.id)

    return many(cut(await here.database.read(query), page, name))


def _sent_cursor(request: Request) -> str | None:
    sent = request.headers.getlist("last-event-id")
    if len(sent) > 1:
        message = "Last-Event-ID: it stands twice"
        raise InvalidRequest("run.cursor_invalid", message, param="Last-Event-ID")
    return sent[0] if sent else None
