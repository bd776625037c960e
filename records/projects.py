"""Projects of an organisation: the boundary that every record carries."""

from typing import Any

from sqlalchemy import Connection, Select, insert, select

from protocol.ids import OrgId, ProjectId, fresh
from protocol.noun import Moment, Noun
from records.columns import noun_of
from records.paging import Page, PageRequest, page_of
from records.tables import projects
from records.tx import Tx

p = projects.c


class Project(Noun):
    id: ProjectId
    name: str
    created_at: Moment


def create(tx: Tx, org_id: OrgId, name: str) -> Project:
    project = Project(id=ProjectId(fresh("proj_")), name=name, created_at=tx.now)
    tx.connection.execute(insert(projects).values(project.model_dump() | {"org_id": org_id}))
    return project


def get(connection: Connection, org_id: OrgId, project_id: ProjectId) -> Project | None:
    row = connection.execute(_of(org_id).where(p.id == project_id)).first()
    return None if row is None else noun_of(Project, row)


def list_projects(
    connection: Connection, org_id: OrgId, page: PageRequest, *, only: ProjectId | None = None
) -> Page[Project]:
    query = _of(org_id)
    if only is not None:
        query = query.where(p.id == only)
    rows, cursor = page_of(connection, query, (p.created_at, p.id), page)
    return Page([noun_of(Project, row) for row in rows], cursor)


def _of(org_id: OrgId) -> Select[Any]:
    return select(*(projects.c[name] for name in Project.model_fields)).where(p.org_id == org_id)
