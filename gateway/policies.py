"""Policies of a project as they are served: put by an administrator, tightening only."""

import re
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from capabilities.policy_layers import check_layer
from gateway.access import Admin, Reader
from gateway.answers import Listed, many, one
from gateway.bodies import documented, read_body
from gateway.gateway import Here
from gateway.idempotency import Made, scope_of
from protocol.errors import InvalidRequest, NotFound
from protocol.noun import Noun
from protocol.principal import Caller
from protocol.project_policy import PolicyText, ProjectPolicy
from records import project_policies
from records.paging import PageRequest
from records.tx import Tx

router = APIRouter(tags=["policies"])

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")


class PolicyBody(Noun):
    """`text` is Cedar; an empty one has no rules."""

    text: PolicyText


@router.put(
    "/v1/policies/{name}",
    status_code=201,
    response_model=ProjectPolicy,
    openapi_extra=documented("PolicyBody"),
)
async def put_policy(request: Request, here: Here, caller: Admin, name: str) -> Response:
    """201 with a new version, 200 where the latest has this text. Runs that began keep theirs."""
    body = await read_body(request)
    asked = body.parse(PolicyBody)
    if _NAME.fullmatch(name) is None:
        message = "name: small letters, digits and `-`, 1 to 63 of them, beginning with a letter or digit"
        raise InvalidRequest("request.invalid_field", message, param="name")
    check_layer(name, asked.text)

    def unit(tx: Tx) -> Made[ProjectPolicy]:
        kept, new = project_policies.put(tx, caller.tenant, name, asked.text, caller.principal_id)
        return Made(f"{name}@{kept.digest}", kept, 201 if new else 200)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    digest = done.resource_id.partition("@")[2]
    return one(done.value or await _kept(here, caller, name, digest), done.status, done.headers)


@router.get("/v1/policies", response_model=Listed[ProjectPolicy])
async def list_policies(here: Here, caller: Reader, page: Annotated[PageRequest, Query()]) -> Response:
    """What holds in the project now, over the rules of the installation."""
    return many(await here.database.read(lambda c: project_policies.list_policies(c, caller.tenant, page)))


@router.get("/v1/policies/{name}", response_model=ProjectPolicy)
async def get_policy(here: Here, caller: Reader, name: str, digest: str | None = None) -> Response:
    """The version that holds, or with `digest` an earlier one."""
    return one(await _kept(here, caller, name, digest))


async def _kept(here: Here, caller: Caller, name: str, digest: str | None) -> ProjectPolicy:
    found = await here.database.read(lambda c: project_policies.get(c, caller.tenant, name, digest))
    if found is None:
        raise NotFound("policy.not_found", f"there is no policy {name[:200]!r}")
    return found
