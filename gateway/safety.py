"""Safety decisions as they are served: what the rules of a run's profile found."""

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.responses import Response

from gateway.access import Reader
from gateway.answers import Forward, Listed, cut, many
from gateway.gateway import Here
from gateway.names import run_named
from protocol.safety import SafetyDecision
from records import safety

router = APIRouter(tags=["runs"])


@router.get("/v1/runs/{run_id}/safety-decisions", response_model=Listed[SafetyDecision])
async def list_safety_decisions(
    here: Here, caller: Reader, run_id: str, page: Annotated[Forward, Query()]
) -> Response:
    """Oldest first. The texts themselves are not kept here, only their digests."""

    def query(connection: Connection) -> Sequence[SafetyDecision]:
        return safety.of_run(connection, run_named(connection, caller.tenant, run_id).run.id)

    found = await here.database.read(query)
    return many(cut(found, page, lambda one: f"{one.subject}:{one.rule}"))
