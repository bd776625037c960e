"""Policies of projects: the latest version of each name holds, the earlier ones stay."""

from typing import Any

from sqlalchemy import Connection, Select, func, insert, select

from protocol.digest import digest_bytes
from protocol.ids import PrincipalId
from protocol.principal import Tenant
from protocol.project_policy import ProjectPolicy
from records.columns import all_of, first_of, owned_by, selected
from records.paging import Page, PageRequest, page_of
from records.policy_tables import project_policies
from records.tx import Tx


def put(tx: Tx, tenant: Tenant, name: str, text: str, put_by: PrincipalId) -> tuple[ProjectPolicy, bool]:
    """A new version, or the latest one where its text is the same; and whether it is new."""
    latest = get(tx.connection, tenant, name)
    named = digest_bytes(text.encode())
    if latest is not None and latest.digest == named:
        return latest, False
    version = latest.version + 1 if latest else 1
    row = ProjectPolicy(name=name, version=version, digest=named, text=text, put_by=put_by, created_at=tx.now)
    tx.connection.execute(insert(project_policies).values(row.model_dump() | tenant.model_dump()))
    return row, True


def get(connection: Connection, tenant: Tenant, name: str, digest: str | None = None) -> ProjectPolicy | None:
    """The latest version of a name, or the latest with this digest."""
    query = _of(tenant).where(project_policies.c.name == name)
    if digest is not None:
        query = query.where(project_policies.c.digest == digest)
    return first_of(
        ProjectPolicy, connection.execute(query.order_by(project_policies.c.version.desc()).limit(1))
    )


def holding(connection: Connection, tenant: Tenant) -> list[ProjectPolicy]:
    """What holds in a project now, by name."""
    return all_of(ProjectPolicy, connection.execute(_holding(tenant).order_by(project_policies.c.name)))


def list_policies(connection: Connection, tenant: Tenant, page: PageRequest) -> Page[ProjectPolicy]:
    keys = (project_policies.c.created_at, project_policies.c.name)
    rows, cursor = page_of(connection, _holding(tenant), keys, page)
    return Page([ProjectPolicy.model_validate(row, from_attributes=True) for row in rows], cursor)


def _of(tenant: Tenant) -> Select[Any]:
    return selected(ProjectPolicy, project_policies).where(owned_by(tenant, project_policies))


def _holding(tenant: Tenant) -> Select[Any]:
    other = project_policies.alias()
    latest = (
        select(func.max(other.c.version))
        .where(other.c.project_id == project_policies.c.project_id, other.c.name == project_policies.c.name)
        .scalar_subquery()
    )
    return _of(tenant).where(project_policies.c.version == latest)
