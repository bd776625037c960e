"""Stop-all: every open run that a filter names is told to end, in one go."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Runner
from gateway.answers import one
from gateway.bodies import documented, read_body
from gateway.gateway import Here
from gateway.idempotency import Made, scope_of
from gateway.names import session_named
from protocol.ids import RunId
from protocol.inbox import Cancel
from protocol.noun import Noun
from protocol.run import RunStatus
from records import inbox, runs
from records.tx import Tx

router = APIRouter(tags=["runs"])

AT_ONCE = 1_000


class CancelFilter(Noun):
    """Which open runs; an empty filter names all of the project."""

    session_id: str | None = None
    status: RunStatus | None = None
    run_ids: Annotated[tuple[str, ...], Field(max_length=AT_ONCE)] | None = None


class StopAllBody(Noun):
    filter: CancelFilter
    reason: str | None = None


class Stopped(Noun):
    """The runs that were told to end, oldest first; `more` where the filter names others still."""

    run_ids: tuple[RunId, ...]
    more: bool = False


@router.post("/v1/runs:cancel", response_model=Stopped, openapi_extra=documented("StopAllBody"))
async def cancel_runs(request: Request, here: Here, caller: Runner) -> Response:
    body = await read_body(request)
    asked = body.parse(StopAllBody)

    def named(connection: Connection) -> list[RunId]:
        session = asked.filter.session_id
        within = (
            session_named(connection, caller.tenant, session, param="filter.session_id") if session else None
        )
        return runs.open_of(
            connection,
            caller.tenant,
            session_id=within.id if within else None,
            status=asked.filter.status,
            run_ids=asked.filter.run_ids,
            limit=AT_ONCE + 1,
        )

    found = await here.database.read(named)
    meant = found[:AT_ONCE]

    def unit(tx: Tx) -> Made[Stopped]:
        said = [
            run_id
            for run_id in meant
            if isinstance(inbox.say(tx, run_id, Cancel(reason=asked.reason)), inbox.Said)
        ]
        return Made(" ".join(said), Stopped(run_ids=tuple(said), more=len(found) > AT_ONCE))

    done = await here.mutations.once(scope_of(request, caller), body, unit, runs=meant)
    if done.value is not None:
        here.wakes.wake(done.value.run_ids)
    stopped = done.value or Stopped(run_ids=tuple(RunId(name) for name in done.resource_id.split()))
    return one(stopped, done.status, done.headers)
