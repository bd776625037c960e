"""Sessions: found by their id or by the caller's own id for them, one project at a time."""

from typing import Any

from sqlalchemy import Connection, Select, update

from protocol.ids import SessionId, is_id
from protocol.noun import Noun
from protocol.principal import Tenant
from protocol.session import Session, SessionDefaults, SessionPatch, SessionRequest
from records.columns import first_of, owned_by, selected
from records.conflicts import insert_unless_there
from records.paging import Page, PageRequest, page_of_nouns
from records.tables import sessions
from records.tx import Tx

s = sessions.c


class SessionCreated(Noun):
    session: Session


class ExternalIdTaken(Noun):
    """Another session of the project has this external id."""

    session: Session


def create(
    tx: Tx, tenant: Tenant, session_id: SessionId, request: SessionRequest
) -> SessionCreated | ExternalIdTaken:
    row = {name: getattr(request, name) for name in SessionRequest.model_fields} | tenant.model_dump()
    row |= {"id": session_id, "status": "active", "created_at": tx.now, "updated_at": tx.now}
    made = insert_unless_there(tx.connection, sessions, row)
    taken = request.external_session_id
    session = get(tx.connection, tenant, session_id if made or taken is None else taken)
    assert session is not None
    return SessionCreated(session=session) if made else ExternalIdTaken(session=session)


def get(connection: Connection, tenant: Tenant, name: str) -> Session | None:
    """By the session's id, or by its external id, which is any printable text."""
    if not name.isprintable():
        return None
    column = s.id if is_id("sess_", name) else s.external_session_id
    return first_of(Session, connection.execute(_select(tenant).where(column == name)))


def list_sessions(connection: Connection, tenant: Tenant, page: PageRequest) -> Page[Session]:
    return page_of_nouns(Session, connection, _select(tenant), sessions, page)


def patch(tx: Tx, tenant: Tenant, session_id: SessionId, change: SessionPatch) -> Session | None:
    """A field that is given replaces the old value wholly; given as null it is emptied."""
    values = {name: getattr(change, name) for name in change.model_fields_set}
    if "metadata" in values and values["metadata"] is None:
        values["metadata"] = {}
    if "defaults" in values and values["defaults"] is None:
        values["defaults"] = SessionDefaults()
    return _change(tx, tenant, session_id, **values)


def set_instructions(
    tx: Tx, tenant: Tenant, session_id: SessionId, instructions: str | None
) -> Session | None:
    """From the next run on."""
    return _change(tx, tenant, session_id, instructions=instructions)


def set_phase(tx: Tx, tenant: Tenant, session_id: SessionId, phase: str | None) -> Session | None:
    return _change(tx, tenant, session_id, phase=phase)


def pause(tx: Tx, tenant: Tenant, session_id: SessionId) -> Session | None:
    """New runs are refused from now on."""
    return _change(tx, tenant, session_id, status="paused")


def resume(tx: Tx, tenant: Tenant, session_id: SessionId) -> Session | None:
    return _change(tx, tenant, session_id, status="active")


def _change(tx: Tx, tenant: Tenant, session_id: SessionId, **values: Any) -> Session | None:
    mine = update(sessions).where(s.id == session_id, owned_by(tenant, sessions))
    tx.connection.execute(mine.values(**values, updated_at=tx.now))
    return get(tx.connection, tenant, session_id)


def _select(tenant: Tenant) -> Select[Any]:
    return selected(Session, sessions).where(owned_by(tenant, sessions))
