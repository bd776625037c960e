"""Projects of an organisation: the boundary that every record carries."""

from typing import Any

from sqlalchemy import Connection, Select, insert

from protocol.ids import OrgId, ProjectId, fresh
from protocol.noun import Moment, Noun
from records.columns import first_of, selected
from records.paging import Page, PageRequest, page_of_nouns
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
    return first_of(Project, connection.execute(_of(org_id).where(p.id == project_id)))


def list_projects(
    connection: Connection, org_id: OrgId, page: PageRequest, *, only: ProjectId | None = None
) -> Page[Project]:
    query = _of(org_id)
    if only is not None:
        query = query.where(p.id == only)
    return page_of_nouns(Project, connection, query, projects, page)


def _of(org_id: OrgId) -> Select[Any]:
    return selected(Project, projects).where(p.org_id == org_id)
