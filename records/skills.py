"""Skills as they are kept: checked as a whole, then a row for each version and a blob for each file."""

import re
from collections.abc import Mapping
from enum import Enum

from sqlalchemy import Connection, and_

from protocol.digest import digest, digest_bytes
from protocol.errors import InvalidRequest
from protocol.front_matter import split_front_matter
from protocol.noun import JSON, JSONObject, Noun
from protocol.principal import Tenant
from protocol.skill import Skill, SkillFile
from records.archives import Entry
from records.blobs import BlobStore
from records.columns import first_of, noun_of, owned_by, selected
from records.conflicts import insert_unless_there
from records.paging import Page, PageRequest, page_of
from records.skill_tables import skills
from records.tx import Tx

MANUAL = "SKILL.md"

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_FIELDS = frozenset(("name", "description", "license", "compatibility", "metadata", "allowed-tools"))
_LONGEST = {"name": 64, "description": 1024, "compatibility": 500, "license": 500, "allowed-tools": 1024}


class NewSkill(Noun):
    """A skill that was read and found well-formed; its version is given by who imports it."""

    name: str
    description: str
    license: str | None = None
    compatibility: str | None = None
    metadata: dict[str, str] = {}
    allowed_tools: str | None = None
    files: tuple[SkillFile, ...]

    @property
    def digest(self) -> str:
        return files_digest(self.files)


class Put(Enum):
    """What came of keeping a version."""

    NEW = "new"
    SAME = "same"
    OTHER = "other"


def read_skill(archived: Mapping[str, Entry], blobs: BlobStore) -> NewSkill:
    """A skill out of the files of an archive, whose bytes are in the blob store afterwards."""
    folder, files = _unwrapped(archived)
    manual = files.get(MANUAL)
    if manual is None:
        raise _invalid(f"there is no {MANUAL} at the top, or in the one folder that is there")
    fields = check_manual(manual.data)
    if folder not in (None, fields["name"]):
        raise _invalid(f"name: it is {fields['name']!r} in the folder {folder!r}, and they have to agree")
    listed = [
        SkillFile(path=path, digest=digest_bytes(data), size=len(data), executable=executable)
        for path, (data, executable) in sorted(files.items())
    ]
    for data, _ in files.values():
        blobs.put(data)
    return NewSkill.model_validate({**fields, "files": listed})


def check_manual(data: bytes) -> JSONObject:
    """The fields of a SKILL.md, by the rules of the format's own validator."""
    try:
        fields, _ = split_front_matter(data.decode())
    except (UnicodeDecodeError, ValueError) as error:
        raise _invalid(str(error)) from error
    if fields is None:
        raise _invalid("it has to begin with front matter between two --- lines")
    unknown = sorted(fields.keys() - _FIELDS)
    if unknown:
        raise _invalid(f"unknown field {unknown[0]!r}; there are {', '.join(sorted(_FIELDS))}")
    for field in ("name", "description"):
        if not str(fields.get(field) or "").strip():
            raise _invalid(f"{field}: it has to be there")
    for field, longest in _LONGEST.items():
        _check_text(field, fields.get(field), longest)
    if not _NAME.fullmatch(str(fields["name"])):
        raise _invalid("name: lowercase letters and digits, with single hyphens between them")
    described = fields.pop("metadata", {})
    if not isinstance(described, dict) or not all(isinstance(text, str) for text in described.values()):
        raise _invalid("metadata: a mapping of texts")
    allowed = fields.pop("allowed-tools", None)
    return {**fields, "metadata": described, "allowed_tools": allowed}


def put(tx: Tx, tenant: Tenant, new: NewSkill, version: str) -> tuple[Skill, Put]:
    """The version as it is kept from now on, or has been kept before: a version never changes."""
    fields = {name: getattr(new, name) for name in NewSkill.model_fields}
    row = {**fields, **tenant.model_dump(), "version": version, "digest": new.digest, "created_at": tx.now}
    made = insert_unless_there(tx.connection, skills, row)
    kept = get(tx.connection, tenant, new.name, version)
    assert kept is not None
    return kept, Put.NEW if made else Put.SAME if kept.digest == new.digest else Put.OTHER


def get(connection: Connection, tenant: Tenant, name: str, version: str) -> Skill | None:
    named = and_(owned_by(tenant, skills), skills.c.name == name, skills.c.version == version)
    return first_of(Skill, connection.execute(selected(Skill, skills).where(named)))


def list_skills(connection: Connection, tenant: Tenant, page: PageRequest) -> Page[Skill]:
    columns = (skills.c.created_at, skills.c.name, skills.c.version)
    mine = selected(Skill, skills).where(owned_by(tenant, skills))
    rows, cursor = page_of(connection, mine, columns, page)
    return Page([noun_of(Skill, row) for row in rows], cursor)


def files_digest(files: tuple[SkillFile, ...]) -> str:
    """The digest of the manifest: which bytes lie under which path, and which of them may be run."""
    return digest({file.path: {"digest": file.digest, "executable": file.executable} for file in files})


def _unwrapped(files: Mapping[str, Entry]) -> tuple[str | None, dict[str, Entry]]:
    """Archives are often made of the folder, not of what is in it: its name is the skill's then."""
    tops = {path.partition("/")[0] for path in files}
    if MANUAL in files or len(tops) != 1:
        return None, dict(files)
    return tops.pop(), {path.partition("/")[2]: entry for path, entry in files.items()}


def _check_text(field: str, value: JSON, longest: int) -> None:
    if value is not None and (not isinstance(value, str) or len(value) > longest):
        raise _invalid(f"{field}: a text of at most {longest} characters")


def _invalid(why: str) -> InvalidRequest:
    return InvalidRequest("skill.invalid", f"{MANUAL}: {why}")
