"""Keys as they are served: made for a principal, shown with their secret once, revoked for good."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Admin
from gateway.answers import Listed, many, one
from gateway.bodies import Empty, documented, read_body
from gateway.gateway import Here
from gateway.idempotency import Made, scope_of
from protocol.errors import NotFound
from protocol.ids import KeyId, PrincipalId, is_id
from protocol.noun import Noun
from protocol.principal import Key, Scope, Tenant
from records import principals
from records.keys import MintedKey, mint
from records.paging import PageRequest
from records.tx import Tx

router = APIRouter(tags=["keys"])


class KeyBody(Noun):
    principal_id: PrincipalId
    scopes: Annotated[tuple[Scope, ...], Field(min_length=1)]
    actor_id: Annotated[str, Field(max_length=200)] | None = None


class KeyWithSecret(Key):
    """`secret` is there in the answer that made the key, and never again."""

    secret: str | None = None


@router.post("/v1/keys", status_code=201, response_model=KeyWithSecret, openapi_extra=documented("KeyBody"))
async def create_key(request: Request, here: Here, caller: Admin) -> Response:
    body = await read_body(request)
    asked = body.parse(KeyBody)
    minted = mint(here.pepper)

    def unit(tx: Tx) -> Made[KeyWithSecret]:
        key = add_key(tx, caller.tenant, asked, minted)
        return Made(key.id, key, 201)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    key = done.value or await here.database.read(lambda c: _named(c, caller.tenant, done.resource_id))
    return one(key, done.status, done.headers)


@router.get("/v1/keys", response_model=Listed[Key])
async def list_keys(here: Here, caller: Admin, page: Annotated[PageRequest, Query()]) -> Response:
    return many(await here.database.read(lambda c: principals.list_keys(c, caller.tenant, page)))


@router.get("/v1/keys/{key_id}", response_model=Key)
async def get_key(here: Here, caller: Admin, key_id: str) -> Response:
    return one(await here.database.read(lambda c: _named(c, caller.tenant, key_id)))


@router.post("/v1/keys/{key_id}:revoke", response_model=Key)
async def revoke_key(request: Request, here: Here, caller: Admin, key_id: str) -> Response:
    """From now on it opens nothing."""
    body = await read_body(request)
    body.parse(Empty)

    def unit(tx: Tx) -> Made[Key]:
        key = _named(tx.connection, caller.tenant, key_id)
        return Made(key.id, principals.revoke_key(tx, caller.tenant, key.id) or key)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    here.doorkeeper.forget(KeyId(done.resource_id))
    key = done.value or await here.database.read(lambda c: _named(c, caller.tenant, key_id))
    return one(key, done.status, done.headers)


def add_key(tx: Tx, tenant: Tenant, asked: KeyBody, minted: MintedKey) -> KeyWithSecret:
    new = principals.NewKey(
        id=minted.key_id,
        principal_id=asked.principal_id,
        scopes=asked.scopes,
        secret_hash=minted.secret_hash,
        actor_id=asked.actor_id,
    )
    known = is_id("prin_", asked.principal_id) or asked.principal_id == principals.ADMIN
    key = principals.create_key(tx, tenant, new) if known else None
    if key is None:
        message = f"principal_id: there is no principal {asked.principal_id[:200]!r}"
        raise NotFound("auth.principal_not_found", message, param="principal_id")
    return KeyWithSecret(**key.model_dump(), secret=minted.token)


def _named(connection: Connection, tenant: Tenant, name: str) -> Key:
    found = principals.key(connection, tenant, KeyId(name)) if is_id("key_", name) else None
    if found is None:
        raise NotFound("auth.key_not_found", f"there is no key {name[:200]!r}")
    return found
