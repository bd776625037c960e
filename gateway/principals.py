"""Principals as they are served: who may ask and decide in a project."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Admin
from gateway.answers import Listed, many, one
from gateway.bodies import documented, read_body
from gateway.gateway import Here
from gateway.idempotency import Made, scope_of
from protocol.errors import NotFound
from protocol.ids import PrincipalId, is_id
from protocol.noun import Noun
from protocol.principal import Principal, Tenant
from records import principals
from records.paging import PageRequest
from records.tx import Tx

router = APIRouter(tags=["principals"])

Role = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]


class PrincipalBody(Noun):
    name: Annotated[str, Field(min_length=1, max_length=200)]
    kind: Literal["user", "service"] = "user"
    roles: Annotated[tuple[Role, ...], Field(max_length=64)] = ()


class RolesBody(Noun):
    roles: Annotated[tuple[Role, ...], Field(max_length=64)]


@router.post(
    "/v1/principals", status_code=201, response_model=Principal, openapi_extra=documented("PrincipalBody")
)
async def create_principal(request: Request, here: Here, caller: Admin) -> Response:
    body = await read_body(request)
    asked = body.parse(PrincipalBody)

    def unit(tx: Tx) -> Made[Principal]:
        made = principals.create_principal(
            tx, caller.tenant, name=asked.name, kind=asked.kind, roles=asked.roles
        )
        return Made(made.id, made, 201)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    made = done.value or await here.database.read(lambda c: _named(c, caller.tenant, done.resource_id))
    return one(made, done.status, done.headers)


@router.get("/v1/principals", response_model=Listed[Principal])
async def list_principals(here: Here, caller: Admin, page: Annotated[PageRequest, Query()]) -> Response:
    return many(await here.database.read(lambda c: principals.list_principals(c, caller.tenant, page)))


@router.get("/v1/principals/{principal_id}", response_model=Principal)
async def get_principal(here: Here, caller: Admin, principal_id: str) -> Response:
    return one(await here.database.read(lambda c: _named(c, caller.tenant, principal_id)))


@router.patch(
    "/v1/principals/{principal_id}", response_model=Principal, openapi_extra=documented("RolesBody")
)
async def set_roles(request: Request, here: Here, caller: Admin, principal_id: str) -> Response:
    """They count for every decision from now on."""
    body = await read_body(request)
    asked = body.parse(RolesBody)

    def unit(tx: Tx) -> Made[Principal]:
        known = _named(tx.connection, caller.tenant, principal_id)
        return Made(known.id, principals.set_roles(tx, caller.tenant, known.id, asked.roles) or known)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    made = done.value or await here.database.read(lambda c: _named(c, caller.tenant, principal_id))
    return one(made, done.status, done.headers)


def _named(connection: Connection, tenant: Tenant, name: str) -> Principal:
    known = is_id("prin_", name) or name == principals.ADMIN
    found = principals.get(connection, tenant, PrincipalId(name)) if known else None
    if found is None:
        raise NotFound("auth.principal_not_found", f"there is no principal {name[:200]!r}")
    return found
