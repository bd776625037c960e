"""FIL-03: skills in runs are loaded on demand, their scripts run in the box, and never a changed byte."""

import json

import pytest
from sqlalchemy import update

from records import skills, snapshots
from records.archives import Entry
from records.skill_tables import skills as table
from tests.escapes import escapes
from tests.stack import Event, Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

DEV = {"kind": "workspace", "name": "dev"}
MANUAL = "---\nname: knots\ndescription: Ties knots.\n---\nRun `scripts/tie.sh`.\n"
KNOTS = {
    "SKILL.md": Entry(MANUAL.encode()),
    "scripts/tie.sh": Entry(b"#!/bin/sh\necho tied\n", executable=True),
    "references/rope.md": Entry(b"Hemp.\n"),
}

CLIMBS = escapes("SKILL.md", "etc/passwd", "knots@1/SKILL.md")
CLIMBING = ", ".join(
    f'{{ name = "read_skill_file", arguments = {{ skill = "knots@1", path = {json.dumps(path)} }} }}'
    for path in CLIMBS
)

SCRIPT = (
    f"""
[[scenarios]]
when = "^climb"
[[scenarios.turns]]
tool_calls = [{CLIMBING}]
[[scenarios.turns]]
text = "done"
"""
    r"""
[[scenarios]]
when = "^read"
[[scenarios.turns]]
tool_calls = [
  { name = "load_skill", arguments = { skill = "knots@1" } },
  { name = "read_skill_file", arguments = { skill = "knots@1", path = "references/rope.md" } },
  { name = "read_skill_file", arguments = { skill = "knots@1", path = "../../../etc/passwd" } },
  { name = "load_skill", arguments = { skill = "ropes@1" } },
]
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^work"
[[scenarios.turns]]
tool_calls = [{ name = "load_skill", arguments = { skill = "knots@1" } }]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = '''
cd /home/agent/skills/knots@1 && scripts/tie.sh
(echo more >> SKILL.md) 2>/dev/null || echo read-only
git -C /workspace status --short 2>/dev/null; ls -A /workspace
''' } }]
[[scenarios.turns]]
tool_calls = [{ name = "load_skill", arguments = { skill = "knots@1" } }]
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^wait"
[[scenarios.turns]]
tool_calls = [{ name = "ask_user", arguments = { question = "go on?" } }]
[[scenarios.turns]]
tool_calls = [
  { name = "load_skill", arguments = { skill = "knots@2" } },
  { name = "read_skill_file", arguments = { skill = "knots@2", path = "references/rope.md" } },
]
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^later"
[[scenarios.turns]]
tool_calls = [{ name = "ask_user", arguments = { question = "go on?" } }]
[[scenarios.turns]]
tool_calls = [{ name = "load_skill", arguments = { skill = "knots@3" } }]
[[scenarios.turns]]
text = "done"
"""
)


def skill(ref: str) -> dict[str, str]:
    return {"kind": "skill", "ref": ref}


def results(told: list[Event]) -> list[str]:
    """As the calls were asked for: those of one turn may end in any order."""
    ends = {
        event["tool_execution_id"]: event["preview"] for event in of_type(told, "tool_execution.completed")
    }
    return [ends[event["tool_execution_id"]] for event in of_type(told, "tool_execution.requested")]


async def keep(stack: Stack, version: str, **more: bytes) -> skills.NewSkill:
    files = KNOTS | {name: Entry(data) for name, data in more.items()}
    new = skills.read_skill(files, stack.database.blobs)
    await stack.writer.commit(lambda tx: skills.put(tx, stack.tenant, new, version))
    return new


async def test_a_skill_is_loaded_by_name_and_read_file_by_file(stack: Stack) -> None:
    new = await keep(stack, "1")
    run = await stack.create("read", capabilities=[skill("knots@1"), skill("nothing@1")])
    told = await stack.ended(run)
    resolved = of_type(told, "capability.resolved")[0]
    assert set(resolved["grants"]["names"]) == {"knots@1", "load_skill", "read_skill_file"}
    assert resolved["denials"]["names"] == ["nothing@1"]
    loaded, file, outside, ungranted = results(told)
    assert loaded.startswith("Skill knots@1\n\nRun `scripts/tie.sh`.\n\nFiles, for read_skill_file:\n")
    assert "- references/rope.md (6 bytes)" in loaded
    assert file == "Hemp.\n"
    assert outside.startswith("skill.no_file: knots@1 has no file '../../../etc/passwd'")
    assert "'ropes@1' is not granted in this run; there are: knots@1" in ungranted
    snapshot = resolved["capability_snapshot_id"]
    kept = await stack.read(lambda connection: snapshots.list_evidence(connection, snapshot))
    assert [(row.kind, row.body["digest"]) for row in kept] == [("skill", new.digest)]


async def test_no_spelling_of_a_path_reads_anything_but_a_file_of_the_skill(stack: Stack) -> None:
    """FIL-02, of the files of a skill: no name but the exact one is a file."""
    assert len(CLIMBS) >= 120
    await keep(stack, "1")
    said = results(await stack.ended(await stack.create("climb", capabilities=[skill("knots@1")])))
    assert len(said) == len(CLIMBS)
    assert [one for one in said if not one.startswith("skill.no_file: ")] == []


async def test_the_scripts_of_a_skill_run_in_the_box_and_stay_out_of_the_work_tree(stack: Stack) -> None:
    await keep(stack, "1")
    told = await stack.ended(await stack.create("work", capabilities=[skill("knots@1")], target=DEV))
    loaded, said, again = results(told)
    assert "In the workspace the files are in /home/agent/skills/knots@1, read-only." in loaded
    assert said.strip() == "tied\nread-only"
    assert again == loaded


async def test_a_byte_that_changed_after_the_snapshot_refuses_the_whole_skill(stack: Stack) -> None:
    new = await keep(stack, "2", extra=b"a file of version two")
    run = await stack.create("wait", capabilities=[skill("knots@2"), {"kind": "tool", "name": "ask_user"}])
    question = await stack.checkpoint(run)
    changed = next(file for file in new.files if file.path == "extra")
    body = changed.digest.removeprefix("sha256:")
    path = stack.data / "blobs" / body[:2] / body
    path.write_bytes(b"a file of version twO")
    await stack.decide(question, "answer", answer="yes")
    _, loaded, read = results(await stack.ended(run))
    assert loaded == (
        "skill.changed: the file 'extra' of knots@2 is not what it was when the run was granted it"
    )
    assert read == "Hemp.\n"


async def test_a_stored_row_that_changed_after_the_snapshot_refuses_the_skill(stack: Stack) -> None:
    """FIL-03, and RCP-06 of skills."""
    await keep(stack, "3")
    asking = {"kind": "tool", "name": "ask_user"}
    run = await stack.create("later", capabilities=[skill("knots@3"), asking])
    question = await stack.checkpoint(run)
    other = skills.read_skill(
        KNOTS | {"SKILL.md": Entry(MANUAL.replace("Run", "Rum").encode())}, stack.database.blobs
    )
    row = update(table).where(table.c.version == "3").values(files=other.files, digest=other.digest)
    await stack.writer.commit(lambda tx: tx.connection.execute(row).rowcount)
    await stack.decide(question, "answer", answer="yes")
    _, loaded = results(await stack.ended(run))
    assert loaded == "skill.changed: the skill knots@3 is not what it was when the run was granted it"
