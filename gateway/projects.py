"""Projects as they are served: the hard boundary of every record, each with an administrator of its own."""

from typing import Annotated

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
from gateway.keys import KeyBody, KeyWithSecret, add_key
from protocol.errors import Forbidden, NotFound
from protocol.ids import ProjectId, is_id
from protocol.noun import Noun
from protocol.principal import ALL_SCOPES, Caller, Tenant
from records import principals, projects
from records.keys import mint
from records.paging import PageRequest
from records.projects import Project
from records.tx import Tx

router = APIRouter(tags=["projects"])

ROLE = "admin"
"""A project is made from inside another one of its organisation, by who has this role there."""


class ProjectBody(Noun):
    name: Annotated[str, Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]


class NewProject(Project):
    """A project with its first key, whose secret is in the answer that made it and never again."""

    key: KeyWithSecret | None = None


@router.post(
    "/v1/projects", status_code=201, response_model=NewProject, openapi_extra=documented("ProjectBody")
)
async def create_project(request: Request, here: Here, caller: Admin) -> Response:
    body = await read_body(request)
    asked = body.parse(ProjectBody)
    if ROLE not in caller.roles:
        raise Forbidden("auth.role_missing", f"only a principal with the role {ROLE!r} makes projects")
    minted = mint(here.pepper)

    def unit(tx: Tx) -> Made[NewProject]:
        project = projects.create(tx, caller.tenant.org_id, asked.name)
        tenant = Tenant(org_id=caller.tenant.org_id, project_id=project.id)
        admin = principals.create_principal(tx, tenant, name="admin", kind="user", roles=(ROLE,))
        key = add_key(tx, tenant, KeyBody(principal_id=admin.id, scopes=ALL_SCOPES), minted)
        return Made(project.id, NewProject(**project.model_dump(), key=key), 201)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    made = done.value or await here.database.read(lambda c: _named(c, caller, done.resource_id))
    return one(made, done.status, done.headers)


@router.get("/v1/projects", response_model=Listed[Project])
async def list_projects(here: Here, caller: Admin, page: Annotated[PageRequest, Query()]) -> Response:
    """Those of the organisation for who may make them, else the caller's own."""
    only = None if ROLE in caller.roles else caller.tenant.project_id
    return many(
        await here.database.read(lambda c: projects.list_projects(c, caller.tenant.org_id, page, only=only))
    )


@router.get("/v1/projects/{project_id}", response_model=Project)
async def get_project(here: Here, caller: Admin, project_id: str) -> Response:
    return one(await here.database.read(lambda c: _named(c, caller, project_id)))


def _named(connection: Connection, caller: Caller, name: str) -> Project:
    own = name == caller.tenant.project_id
    mine = own or (ROLE in caller.roles and (is_id("proj_", name) or name == principals.DEFAULT.project_id))
    found = projects.get(connection, caller.tenant.org_id, ProjectId(name)) if mine else None
    if found is None:
        raise NotFound("auth.project_not_found", f"there is no project {name[:200]!r}")
    return found
