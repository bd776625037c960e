"""Sessions as they are served: made, changed, paused, read as a timeline or as what the model sees next."""

from collections.abc import Callable
from typing import Annotated

import orjson
from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Reader, Runner
from gateway.answers import Forward, Listed, many, one, page_of_texts
from gateway.bodies import Body, Empty, documented, read_body
from gateway.gateway import Gateway, Here
from gateway.idempotency import Done, Made, scope_of
from gateway.names import session_named
from protocol.block import Block
from protocol.errors import Conflict
from protocol.ids import SessionId, fresh
from protocol.noun import Noun, rfc3339
from protocol.principal import Caller
from protocol.session import Session, SessionPatch, SessionRequest
from records import blocks, sessions, timeline
from records.paging import Page, PageRequest
from records.tx import Tx

router = APIRouter(tags=["sessions"])
NAMED = "/v1/sessions/{session_id:path}"
"""An external id may hold slashes and colons, so every more exact route stands before the plain one."""


class Instructions(Noun):
    instructions: str | None


class Phase(Noun):
    phase: str | None


class Head(Noun):
    """Exactly what the model sees next; `head` is the id of the last block."""

    head: str | None
    blocks: tuple[Block, ...]


@router.post(
    "/v1/sessions", status_code=201, response_model=Session, openapi_extra=documented("SessionRequest")
)
async def create_session(request: Request, here: Here, caller: Runner) -> Response:
    body = await read_body(request)
    asked = body.parse(SessionRequest)
    if asked.defaults.model is not None:
        here.admission.check_model(asked.defaults.model, "defaults.model")

    def unit(tx: Tx) -> Made[Session]:
        match sessions.create(tx, caller.tenant, SessionId(fresh("sess_")), asked):
            case sessions.SessionCreated(session=session):
                return Made(session.id, session, 201)
            case sessions.ExternalIdTaken(session=session):
                message = f"the external id belongs to {session.id}"
                raise Conflict(
                    "session.external_id_taken",
                    message,
                    param="external_session_id",
                    details={"session_id": session.id},
                )

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    return await _answered(here, caller, done)


@router.get("/v1/sessions", response_model=Listed[Session])
async def list_sessions(here: Here, caller: Reader, page: Annotated[PageRequest, Query()]) -> Response:
    return many(await here.database.read(lambda c: sessions.list_sessions(c, caller.tenant, page)))


@router.get(NAMED + "/timeline")
async def read_timeline(
    here: Here, caller: Reader, session_id: str, page: Annotated[Forward, Query()]
) -> Response:
    """Everything that happened, in order, for rendering."""

    def query(connection: Connection) -> Page[timeline.Entry]:
        session = session_named(connection, caller.tenant, session_id)
        return timeline.page(connection, session.id, page)

    found = await here.database.read(query)
    return page_of_texts([_entry(entry) for entry in found.items], found.next_cursor, key="entries")


@router.get(NAMED + "/blocks", response_model=Head)
async def read_blocks(here: Here, caller: Reader, session_id: str) -> Response:
    def query(connection: Connection) -> Head:
        session = session_named(connection, caller.tenant, session_id)
        last, found = blocks.head(connection, session.id)
        return Head(head=last, blocks=tuple(found))

    return one(await here.database.read(query))


@router.get(NAMED, response_model=Session)
async def get_session(here: Here, caller: Reader, session_id: str) -> Response:
    return one(await here.database.read(lambda c: session_named(c, caller.tenant, session_id)))


@router.patch(NAMED, response_model=Session, openapi_extra=documented("SessionPatch"))
async def patch_session(request: Request, here: Here, caller: Runner, session_id: str) -> Response:
    body = await read_body(request)
    asked = body.parse(SessionPatch)
    if asked.defaults is not None and asked.defaults.model is not None:
        here.admission.check_model(asked.defaults.model, "defaults.model")
    return await _change(
        request, here, caller, body, lambda tx, s: sessions.patch(tx, caller.tenant, s, asked)
    )


@router.post(NAMED + ":set-instructions", response_model=Session, openapi_extra=documented("Instructions"))
async def set_instructions(request: Request, here: Here, caller: Runner, session_id: str) -> Response:
    """They count from the next run on."""
    body = await read_body(request)
    text = body.parse(Instructions).instructions
    return await _change(
        request, here, caller, body, lambda tx, s: sessions.set_instructions(tx, caller.tenant, s, text)
    )


@router.post(NAMED + ":set-phase", response_model=Session, openapi_extra=documented("Phase"))
async def set_phase(request: Request, here: Here, caller: Runner, session_id: str) -> Response:
    body = await read_body(request)
    phase = body.parse(Phase).phase
    return await _change(
        request, here, caller, body, lambda tx, s: sessions.set_phase(tx, caller.tenant, s, phase)
    )


@router.post(NAMED + ":pause", response_model=Session)
async def pause_session(request: Request, here: Here, caller: Runner, session_id: str) -> Response:
    """A run that goes on is not stopped; new ones are refused until the session is resumed."""
    body = await read_body(request)
    body.parse(Empty)
    return await _change(request, here, caller, body, lambda tx, s: sessions.pause(tx, caller.tenant, s))


@router.post(NAMED + ":resume", response_model=Session)
async def resume_session(request: Request, here: Here, caller: Runner, session_id: str) -> Response:
    body = await read_body(request)
    body.parse(Empty)
    return await _change(request, here, caller, body, lambda tx, s: sessions.resume(tx, caller.tenant, s))


async def _change(
    request: Request,
    here: Gateway,
    caller: Caller,
    body: Body,
    change: Callable[[Tx, SessionId], Session | None],
) -> Response:
    name = str(request.path_params["session_id"])

    def unit(tx: Tx) -> Made[Session]:
        session = session_named(tx.connection, caller.tenant, name)
        return Made(session.id, change(tx, session.id) or session)

    return await _answered(here, caller, await here.mutations.once(scope_of(request, caller), body, unit))


async def _answered(here: Gateway, caller: Caller, done: Done[Session]) -> Response:
    session = done.value or await here.database.read(
        lambda c: session_named(c, caller.tenant, done.resource_id)
    )
    return one(session, done.status, done.headers)


def _entry(entry: timeline.Entry) -> str:
    """The object's own fields beside the entry's; a checkpoint's kind makes room for the entry's."""
    fields = entry.object.model_dump(mode="json")
    if entry.kind == "checkpoint":
        fields["checkpoint_kind"] = fields.pop("kind")
    own = {"id": entry.id, "kind": entry.kind, "at": rfc3339(entry.at), "run_id": entry.run_id}
    return orjson.dumps({**fields, **own}).decode()
