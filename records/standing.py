"""Standing permissions, as they hold by the database's clock."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, insert, or_, update

from protocol.ids import PrincipalId, fresh
from protocol.principal import Tenant
from protocol.standing import StandingGrant
from records.columns import all_of, first_of, owned_by, selected
from records.database import now
from records.paging import Page, PageRequest, page_of_nouns
from records.standing_tables import standing_grants
from records.tx import Tx


def add(tx: Tx, tenant: Tenant, grant: StandingGrant) -> StandingGrant:
    tx.connection.execute(insert(standing_grants).values(grant.model_dump() | tenant.model_dump()))
    return grant


def draft(
    tx: Tx, argv: tuple[str, ...], principal_id: str | None, made_by: PrincipalId, expires_in_s: int | None
) -> StandingGrant:
    """A permission with its times; its words are still to be said."""
    expires_at = tx.now + timedelta(seconds=expires_in_s) if expires_in_s is not None else None
    return StandingGrant(
        id=fresh("grant_"),
        principal_id=principal_id,
        argv=argv,
        words="",
        made_by=made_by,
        created_at=tx.now,
        expires_at=expires_at,
    )


def get(connection: Connection, tenant: Tenant, grant_id: str) -> StandingGrant | None:
    query = _of(tenant).where(standing_grants.c.id == grant_id)
    return first_of(StandingGrant, connection.execute(query))


def list_grants(connection: Connection, tenant: Tenant, page: PageRequest) -> Page[StandingGrant]:
    return page_of_nouns(StandingGrant, connection, _of(tenant), standing_grants, page)


def revoke(tx: Tx, tenant: Tenant, grant_id: str) -> StandingGrant | None:
    mine = owned_by(tenant, standing_grants) & (standing_grants.c.id == grant_id)
    still = mine & standing_grants.c.revoked_at.is_(None)
    tx.connection.execute(update(standing_grants).where(still).values(revoked_at=tx.now))
    return get(tx.connection, tenant, grant_id)


def holding(connection: Connection, tenant: Tenant, principal_id: str, tool: str) -> list[StandingGrant]:
    """Those of a principal and of its whole project that hold at this moment."""
    moment = now(connection)
    columns = standing_grants.c
    query = _of(tenant).where(
        columns.tool == tool,
        columns.revoked_at.is_(None),
        or_(columns.expires_at.is_(None), columns.expires_at > moment),
        or_(columns.principal_id.is_(None), columns.principal_id == principal_id),
    )
    return all_of(StandingGrant, connection.execute(query.order_by(columns.id)))


def _of(tenant: Tenant) -> Select[Any]:
    return selected(StandingGrant, standing_grants).where(owned_by(tenant, standing_grants))
