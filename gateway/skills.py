"""Skills as they are served: a version is imported out of an archive once, and never changes."""

import asyncio
import base64
import binascii
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Admin, Reader
from gateway.answers import Listed, many, one
from gateway.bodies import documented, read_body
from gateway.gateway import Here
from gateway.idempotency import Made, scope_of
from protocol.errors import Conflict, InvalidRequest, NotFound
from protocol.noun import Noun
from protocol.skill import Skill, SkillVersion
from records import skills
from records.archives import read_archive
from records.paging import PageRequest
from records.skills import NewSkill
from records.tx import Tx

router = APIRouter(tags=["skills"])


class SkillBody(Noun):
    """`archive` is a zip or a tar (plain, gzip, bzip2, xz) of the skill's folder, in base64."""

    version: SkillVersion
    archive: Annotated[str, Field(min_length=1)]


@router.put("/v1/skills/{name}", status_code=201, response_model=Skill, openapi_extra=documented("SkillBody"))
async def put_skill(request: Request, here: Here, caller: Admin, name: str) -> Response:
    """201 where the version is new, 200 where the same was there, 409 where it is another one."""
    body = await read_body(request)
    asked = body.parse(SkillBody)
    new = await asyncio.to_thread(_read, here, name, asked.archive)

    def unit(tx: Tx) -> Made[Skill]:
        kept, put = skills.put(tx, caller.tenant, new, asked.version)
        if put is skills.Put.OTHER:
            message = f"{kept.ref} is there with the digest {kept.digest}; this one has {new.digest}"
            raise Conflict("skill.version_taken", message, param="version")
        return Made(kept.ref, kept, 201 if put is skills.Put.NEW else 200)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    kept = done.value or await _kept(here, caller, done.resource_id)
    return one(kept, done.status, done.headers)


@router.get("/v1/skills", response_model=Listed[Skill])
async def list_skills(here: Here, caller: Reader, page: Annotated[PageRequest, Query()]) -> Response:
    return many(await here.database.read(lambda c: skills.list_skills(c, caller.tenant, page)))


@router.get("/v1/skills/{ref}", response_model=Skill)
async def get_skill(here: Here, caller: Reader, ref: str) -> Response:
    """One version, by `name@version`."""
    return one(await _kept(here, caller, ref))


async def _kept(here: Here, caller: Reader, ref: str) -> Skill:
    name, _, version = ref.partition("@")
    found = await here.database.read(lambda c: skills.get(c, caller.tenant, name, version))
    if found is None:
        raise NotFound("skill.not_found", f"there is no skill {ref[:200]!r}")
    return found


def _read(here: Here, name: str, archive: str) -> NewSkill:
    try:
        data = base64.b64decode(archive, validate=True)
    except binascii.Error as error:
        raise InvalidRequest("request.invalid_field", "archive: it is not base64", param="archive") from error
    try:
        new = skills.read_skill(read_archive(data), here.database.blobs)
    except InvalidRequest as error:
        raise InvalidRequest(error.code, f"archive: {error.message}", param="archive") from error
    if new.name != name:
        message = f"the skill in the archive is {new.name!r}, and {name[:200]!r} is asked for"
        raise InvalidRequest("skill.name_mismatch", message, param="name")
    return new
