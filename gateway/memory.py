"""Memory as it is served: the caller's own, their project's, or that of a session of their project."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Reader, Runner
from gateway.answers import Listed, many, one
from gateway.bodies import documented, read_body
from gateway.gateway import Gateway, Here
from gateway.idempotency import REPLAYED, scope_of
from gateway.names import session_named
from protocol.digest import digest
from protocol.errors import Conflict, InvalidRequest, NotFound
from protocol.label import Label
from protocol.memory import (
    Absent,
    Forgotten,
    MemoryDraft,
    MemoryKey,
    MemoryPlace,
    MemoryRecord,
    MemoryScope,
    MemoryText,
    Provenance,
    Removal,
    Stale,
    Written,
)
from protocol.noun import Noun
from protocol.principal import Caller
from protocol.strict import validate
from records.idempotency import Scope
from records.paging import Page

router = APIRouter(tags=["memory"])
NAMED = "/v1/memory/{scope}/{key:path}"


class MemoryBody(Noun):
    """`version` is the one that it replaces, 0 for none; without it whatever is there is replaced."""

    text: MemoryText
    version: Annotated[int, Field(ge=0)] | None = None
    expires_in_s: Annotated[int, Field(ge=1, le=10 * 366 * 24 * 3600)] | None = None
    labels: tuple[Label, ...] = ()


class Where(Noun):
    """`session_id` goes with the scope `session`, and only with it."""

    session_id: str | None = None


class Which(Where):
    q: Annotated[str, Field(max_length=400)] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None


class Version(Where):
    version: Annotated[int, Field(ge=1)] | None = None


class Gone(Noun):
    """`version` is the tombstone's."""

    key: str
    version: int


class _Key(Noun):
    key: MemoryKey


@router.get("/v1/memory/{scope}", response_model=Listed[MemoryRecord])
async def search_memory(
    here: Here, caller: Reader, scope: MemoryScope, which: Annotated[Which, Query()]
) -> Response:
    """Best first for the words of `q`; the newest without."""
    place = await _place(here, caller, scope, which)
    found = await here.memory.search(place, which.q, which.limit, which.cursor)
    return many(Page(list(found.records), found.next_cursor))


@router.get(NAMED, response_model=MemoryRecord)
async def read_memory(
    here: Here, caller: Reader, scope: MemoryScope, key: str, where: Annotated[Where, Query()]
) -> Response:
    place = await _place(here, caller, scope, where)
    found = await here.memory.read(place, key)
    if found is None:
        raise _unknown(key)
    return one(found)


@router.put(NAMED, response_model=MemoryRecord, openapi_extra=documented("MemoryBody"))
async def write_memory(
    request: Request,
    here: Here,
    caller: Runner,
    scope: MemoryScope,
    key: str,
    where: Annotated[Where, Query()],
) -> Response:
    """201 where the key had no record, 200 where it has one version more."""
    asked = (await read_body(request)).parse(MemoryBody)
    place = await _place(here, caller, scope, where)
    draft = MemoryDraft(
        key=validate(_Key, {"key": key}).key,
        text=asked.text,
        labels=asked.labels,
        provenance=Provenance(principal_id=caller.principal_id),
        expires_in_s=asked.expires_in_s,
        expected=asked.version,
        effect_key=_effect_key(scope_of(request, caller)),
    )
    match await here.memory.write(place, draft):
        case Stale(version=version):
            raise _stale(key, version)
        case Written(record=record, repeated=repeated):
            if repeated and (record.key, record.text, record.labels) != (key, asked.text, asked.labels):
                message = "this Idempotency-Key was used for another request"
                raise Conflict("idempotency.conflict", message, param="Idempotency-Key")
            return one(record, 201 if record.version == 1 else 200, REPLAYED if repeated else None)


@router.delete(NAMED, response_model=Gone)
async def delete_memory(
    request: Request,
    here: Here,
    caller: Runner,
    scope: MemoryScope,
    key: str,
    which: Annotated[Version, Query()],
) -> Response:
    """The text is gone at once; a tombstone keeps who removed it, and when."""
    place = await _place(here, caller, scope, which)
    removal = Removal(
        key=validate(_Key, {"key": key}).key,
        provenance=Provenance(principal_id=caller.principal_id),
        expected=which.version,
        effect_key=_effect_key(scope_of(request, caller)),
    )
    match await here.memory.delete(place, removal):
        case Forgotten(version=version):
            return one(Gone(key=key, version=version))
        case Stale(version=version):
            raise _stale(key, version)
        case Absent():
            raise _unknown(key)


async def _place(here: Gateway, caller: Caller, scope: MemoryScope, where: Where) -> MemoryPlace:
    """A user's memory is the caller's own: nobody names another's."""
    name = where.session_id
    if (scope == "session") != (name is not None):
        message = "session_id: it goes with the scope 'session', and only with it"
        raise InvalidRequest("request.invalid", message, param="session_id")
    owner = ""
    if name is not None:
        owner = (await here.database.read(lambda c: session_named(c, caller.tenant, name))).id
    elif scope == "user":
        owner = f"actor:{caller.actor_id}" if caller.actor_id else f"principal:{caller.principal_id}"
    return MemoryPlace(tenant=caller.tenant, scope=scope, owner=owner)


def _effect_key(scope: Scope | None) -> str | None:
    return None if scope is None else digest(scope)


def _unknown(key: str) -> NotFound:
    return NotFound("memory.not_found", f"there is no record {key[:200]!r}")


def _stale(key: str, version: int) -> Conflict:
    there = f"its version is {version}" if version else "there is none"
    message = f"{key[:200]!r} is not at the version that was expected: {there}"
    return Conflict("memory.stale", message, param="version", details={"version": version})
