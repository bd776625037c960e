"""Standing permissions as they are served: shown in words before they are saved, listed, revoked."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from capabilities.standing import in_words, pattern_of
from gateway.access import Decider, Reader
from gateway.answers import Listed, many, one
from gateway.bodies import documented, read_body
from gateway.gateway import Here
from gateway.idempotency import Made, scope_of
from protocol.errors import Forbidden, NotFound
from protocol.noun import Noun
from protocol.principal import Caller
from protocol.standing import StandingGrant
from records import standing
from records.paging import PageRequest
from records.tx import Tx

router = APIRouter(tags=["grants"])


class GrantBody(Noun):
    """`command` is one plain command of `bash`, in which a word `*` is any one argument that is no option.
    Without `whole_project` it is for the caller alone; with `dry_run` nothing is saved."""

    command: Annotated[str, Field(min_length=1, max_length=4_000)]
    whole_project: bool = False
    expires_in_s: Annotated[int, Field(ge=1, le=366 * 24 * 3600)] | None = None
    dry_run: bool = False


@router.post(
    "/v1/grants", status_code=201, response_model=StandingGrant, openapi_extra=documented("GrantBody")
)
async def make_grant(request: Request, here: Here, caller: Decider) -> Response:
    """201 with the permission, whose `words` say what it allows; 200 where it is only shown."""
    body = await read_body(request)
    asked = body.parse(GrantBody)
    argv = pattern_of(asked.command)
    if asked.whole_project and "admin" not in caller.scopes:
        message = "whole_project: this needs a key with the scope 'admin'"
        raise Forbidden("auth.scope_missing", message, param="whole_project", details={"scope": "admin"})
    owner = None if asked.whole_project else caller.principal_id
    whom = "everybody in this project" if owner is None else f"{caller.name} ({owner})"

    def unit(tx: Tx) -> Made[StandingGrant]:
        made = standing.draft(tx, argv, owner, caller.principal_id, asked.expires_in_s)
        told = made.model_copy(update={"words": in_words(argv, whom, made.expires_at)})
        if asked.dry_run:
            return Made(told.id, told, 200)
        return Made(told.id, standing.add(tx, caller.tenant, told), 201)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    return one(done.value or await _kept(here, caller, done.resource_id), done.status, done.headers)


@router.get("/v1/grants", response_model=Listed[StandingGrant])
async def list_grants(here: Here, caller: Reader, page: Annotated[PageRequest, Query()]) -> Response:
    """Those of the project, the revoked and expired ones as well."""
    return many(await here.database.read(lambda c: standing.list_grants(c, caller.tenant, page)))


@router.delete("/v1/grants/{grant_id}", response_model=StandingGrant)
async def revoke_grant(request: Request, here: Here, caller: Decider, grant_id: str) -> Response:
    """From now on it answers nothing. One's own, or with the scope `admin` anybody's."""
    body = await read_body(request)
    kept = await _kept(here, caller, grant_id)
    if kept.principal_id != caller.principal_id and "admin" not in caller.scopes:
        message = "revoking another's permission needs a key with the scope 'admin'"
        raise Forbidden("auth.scope_missing", message, details={"scope": "admin"})

    def unit(tx: Tx) -> Made[StandingGrant]:
        return Made(kept.id, standing.revoke(tx, caller.tenant, kept.id) or kept)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    return one(done.value or await _kept(here, caller, grant_id), done.status, done.headers)


async def _kept(here: Here, caller: Caller, grant_id: str) -> StandingGrant:
    found = await here.database.read(lambda c: standing.get(c, caller.tenant, grant_id))
    if found is None:
        raise NotFound("grant.not_found", f"there is no standing permission {grant_id[:200]!r}")
    return found
