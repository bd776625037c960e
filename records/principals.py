"""Who may ask: organisations, projects, principals and their keys."""

import hmac
from typing import Any

from sqlalchemy import Connection, Select, bindparam, insert, select, update

from protocol.ids import KeyId, OrgId, PrincipalId, ProjectId, fresh
from protocol.noun import Noun
from protocol.principal import Caller, Key, Principal, Scope, Tenant
from records.columns import first_of, owned_by, selected
from records.conflicts import insert_unless_there
from records.paging import Page, PageRequest, page_of_nouns
from records.tables import keys, orgs, principals, projects
from records.tx import Tx

DEFAULT = Tenant(org_id=OrgId("org_default"), project_id=ProjectId("proj_default"))
ADMIN = PrincipalId("prin_admin")

_ROLES = select(principals.c.roles).where(principals.c.id == bindparam("of"))


class NewKey(Noun):
    """`secret_hash` comes from records.keys; the secret itself is nowhere kept."""

    id: KeyId
    principal_id: PrincipalId
    scopes: tuple[Scope, ...]
    secret_hash: str
    actor_id: str | None = None


def bootstrap(tx: Tx) -> tuple[Tenant, Principal]:
    """The default organisation, project and administrator; made at the first start."""
    org = {"id": DEFAULT.org_id, "name": "default", "created_at": tx.now}
    insert_unless_there(tx.connection, orgs, org)
    project = {"id": DEFAULT.project_id, "org_id": DEFAULT.org_id, "name": "default", "created_at": tx.now}
    insert_unless_there(tx.connection, projects, project)
    admin = Principal(id=ADMIN, name="admin", kind="user", roles=("admin",), created_at=tx.now)
    insert_unless_there(tx.connection, principals, admin.model_dump() | DEFAULT.model_dump())
    return DEFAULT, get(tx.connection, DEFAULT, ADMIN) or admin


def create_principal(
    tx: Tx, tenant: Tenant, *, name: str, kind: str, roles: tuple[str, ...] = ()
) -> Principal:
    row = {"id": fresh("prin_"), "name": name, "kind": kind, "roles": roles, "created_at": tx.now}
    tx.connection.execute(insert(principals).values(row | tenant.model_dump()))
    return Principal.model_validate(row)


def set_roles(tx: Tx, tenant: Tenant, principal_id: PrincipalId, roles: tuple[str, ...]) -> Principal | None:
    mine = update(principals).where(
        principals.c.id == principal_id, principals.c.project_id == tenant.project_id
    )
    tx.connection.execute(mine.values(roles=roles))
    return get(tx.connection, tenant, principal_id)


def get(connection: Connection, tenant: Tenant, principal_id: PrincipalId) -> Principal | None:
    return first_of(Principal, connection.execute(_principals(tenant).where(principals.c.id == principal_id)))


def list_principals(connection: Connection, tenant: Tenant, page: PageRequest) -> Page[Principal]:
    return page_of_nouns(Principal, connection, _principals(tenant), principals, page)


def create_key(tx: Tx, tenant: Tenant, new: NewKey) -> Key | None:
    """None where the principal is not the tenant's."""
    if get(tx.connection, tenant, new.principal_id) is None:
        return None
    row = new.model_dump() | tenant.model_dump() | {"created_at": tx.now}
    tx.connection.execute(insert(keys).values(row))
    return key(tx.connection, tenant, new.id)


def key(connection: Connection, tenant: Tenant, key_id: KeyId) -> Key | None:
    return first_of(Key, connection.execute(_keys(tenant).where(keys.c.id == key_id)))


def list_keys(connection: Connection, tenant: Tenant, page: PageRequest) -> Page[Key]:
    return page_of_nouns(Key, connection, _keys(tenant), keys, page)


def revoke_key(tx: Tx, tenant: Tenant, key_id: KeyId) -> Key | None:
    mine = update(keys).where(keys.c.id == key_id, keys.c.project_id == tenant.project_id)
    tx.connection.execute(mine.where(keys.c.revoked_at.is_(None)).values(revoked_at=tx.now))
    return key(tx.connection, tenant, key_id)


def authenticate(connection: Connection, key_id: KeyId, secret_hash: str) -> Caller | None:
    """The principal behind a key, with the roles that it has now; None for a wrong or revoked one."""
    query = (
        select(keys, principals.c.name, principals.c.roles)
        .join(principals, principals.c.id == keys.c.principal_id)
        .where(keys.c.id == key_id, keys.c.revoked_at.is_(None))
    )
    row = connection.execute(query).first()
    known = row.secret_hash if row is not None else "0" * 64
    if not hmac.compare_digest(known.encode(), secret_hash.encode()) or row is None:
        return None
    return Caller(
        tenant=Tenant(org_id=row.org_id, project_id=row.project_id),
        principal_id=row.principal_id,
        name=row.name,
        roles=row.roles,
        scopes=row.scopes,
        auth_method="api_key",
        key_id=key_id,
        actor_id=row.actor_id,
    )


def roles_of(connection: Connection, principal_id: PrincipalId) -> tuple[str, ...]:
    """The roles that a principal has now; none where it is gone."""
    return connection.execute(_ROLES, {"of": principal_id}).scalar() or ()


def _principals(tenant: Tenant) -> Select[Any]:
    return selected(Principal, principals).where(owned_by(tenant, principals))


def _keys(tenant: Tenant) -> Select[Any]:
    return selected(Key, keys).where(owned_by(tenant, keys))
