"""Versions of skills: kept once, on both engines, with a digest for each file."""

import pytest

from protocol.digest import digest_bytes
from protocol.errors import InvalidRequest
from protocol.ids import OrgId, ProjectId
from protocol.principal import Tenant
from protocol.skill import SkillFile
from records import skills
from records.archives import Entry
from records.paging import PageRequest
from records.skills import NewSkill, Put
from tests.records.world import World

MANUAL = b"---\nname: knots\ndescription: Ties knots.\nmetadata:\n  author: ann\n---\nUse rope.\n"


def read(world: World, manual: bytes = MANUAL, **more: bytes) -> NewSkill:
    files = {"SKILL.md": Entry(manual), "scripts/tie.sh": Entry(b"#!/bin/sh\n", executable=True)}
    return skills.read_skill(files | {name: Entry(data) for name, data in more.items()}, world.database.blobs)


async def test_a_version_is_kept_with_its_files(world: World) -> None:
    new = read(world)
    kept, put = await world.commit(lambda tx: skills.put(tx, world.tenant, new, "1"))
    assert put is Put.NEW
    assert kept.ref == "knots@1"
    assert (kept.description, kept.metadata) == ("Ties knots.", {"author": "ann"})
    assert kept.files == (
        SkillFile(path="SKILL.md", digest=digest_bytes(MANUAL), size=len(MANUAL)),
        SkillFile(path="scripts/tie.sh", digest=digest_bytes(b"#!/bin/sh\n"), size=10, executable=True),
    )
    assert kept.digest == skills.files_digest(kept.files)
    assert world.database.blobs.get(kept.files[0].digest) == MANUAL
    assert await world.read(lambda c: skills.get(c, world.tenant, "knots", "1")) == kept


async def test_the_same_version_again_is_the_same_and_another_one_changes_nothing(world: World) -> None:
    new, other = read(world), read(world, extra=b"!")
    first, _ = await world.commit(lambda tx: skills.put(tx, world.tenant, new, "1"))
    assert await world.commit(lambda tx: skills.put(tx, world.tenant, new, "1")) == (first, Put.SAME)
    assert await world.commit(lambda tx: skills.put(tx, world.tenant, other, "1")) == (first, Put.OTHER)
    second, put = await world.commit(lambda tx: skills.put(tx, world.tenant, other, "2"))
    assert (put, second.digest) == (Put.NEW, other.digest)


async def test_skills_of_another_project_are_not_there(world: World) -> None:
    await world.commit(lambda tx: skills.put(tx, world.tenant, read(world), "1"))
    other = Tenant(org_id=OrgId(world.tenant.org_id), project_id=ProjectId("proj_other"))
    assert await world.read(lambda c: skills.get(c, other, "knots", "1")) is None
    assert (await world.read(lambda c: skills.list_skills(c, other, PageRequest()))).items == []


async def test_versions_are_listed_page_by_page(world: World) -> None:
    for version in ("1", "2", "3"):
        await world.commit(lambda tx, version=version: skills.put(tx, world.tenant, read(world), version))
    first = await world.read(lambda c: skills.list_skills(c, world.tenant, PageRequest(limit=2)))
    rest = PageRequest(limit=2, cursor=first.next_cursor)
    second = await world.read(lambda c: skills.list_skills(c, world.tenant, rest))
    assert sorted(one.version for one in first.items + second.items) == ["1", "2", "3"]
    assert second.next_cursor is None


def test_which_files_may_be_run_is_part_of_the_digest() -> None:
    file = SkillFile(path="a", digest=digest_bytes(b""), size=0)
    lent = file.model_copy(update={"executable": True})
    assert skills.files_digest((file,)) != skills.files_digest((lent,))


@pytest.mark.parametrize(
    ("manual", "why"),
    [
        ("no front matter", "begin with front matter"),
        ("---\nname: knots\n", "begin with front matter"),
        ("---\nname: knots\ndescription: x\ncolour: red\n---\n", "unknown field 'colour'"),
        ("---\ndescription: x\n---\n", "name: it has to be there"),
        ("---\nname: knots\ndescription: ''\n---\n", "description: it has to be there"),
        ("---\nname: Knots\ndescription: x\n---\n", "name: lowercase"),
        ("---\nname: a--b\ndescription: x\n---\n", "name: lowercase"),
        ("---\nname: -a\ndescription: x\n---\n", "name: lowercase"),
        ("---\nname: " + "a" * 65 + "\ndescription: x\n---\n", "name: a text of at most 64"),
        ("---\nname: a\ndescription: " + "x" * 1025 + "\n---\n", "description: a text of at most 1024"),
        ("---\nname: a\ndescription: x\ncompatibility: " + "x" * 501 + "\n---\n", "compatibility: a text"),
        ("---\nname: a\ndescription: [x]\n---\n", "description: a text"),
        ("---\nname: a\nname: b\ndescription: x\n---\n", "'name' twice"),
        ("---\nname: &a a\ndescription: *a\n---\n", "an alias"),
        ("---\n" + "[" * 5000 + "\n---\n", "not YAML"),
        ("---\nmetadata: " + "[" * 900 + "]" * 900 + "\n---\n", "not YAML"),
        ("---\nname: a\ndescription: " + "x" * 20_000 + "\n---\n", "more than 8192 characters"),
        ("---\nname: a\ndescription: \x00\n---\n", "not YAML"),
    ],
)
def test_a_manual_that_the_format_does_not_allow_is_refused_with_its_field(manual: str, why: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        skills.check_manual(manual.encode())
    assert refused.value.code == "skill.invalid"
    assert why in refused.value.message


async def test_the_folder_of_an_archive_has_the_skills_name(world: World) -> None:
    blobs = world.database.blobs
    assert skills.read_skill({"knots/SKILL.md": Entry(MANUAL)}, blobs).files[0].path == "SKILL.md"
    for files in ({"ropes/SKILL.md": MANUAL}, {"a/SKILL.md": MANUAL, "b/x": b""}, {"a/b/SKILL.md": MANUAL}):
        with pytest.raises(InvalidRequest, match=r"SKILL\.md"):
            skills.read_skill({name: Entry(data) for name, data in files.items()}, blobs)
