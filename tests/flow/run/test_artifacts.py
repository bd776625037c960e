"""`save_artifact` in real boxes: exactly the bytes of a file of the work tree, once, and nothing else."""

import pytest

from protocol.artifact import MOST_BYTES, Artifact
from protocol.digest import digest_bytes
from protocol.ids import RunId
from records import artifacts
from tests.processes import until
from tests.stack import Event, Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

DEV = {"kind": "workspace", "name": "dev"}

SCRIPT = r"""
[[scenarios]]
when = "^keep"
[[scenarios.turns]]
tool_calls = [
  { name = "bash", arguments = { command = "mkdir out; echo '<p>' > out/r.html; ln -s r.html out/l" } },
]
[[scenarios.turns]]
tool_calls = [
  { name = "save_artifact", arguments = { path = "out/r.html" } },
  { name = "save_artifact", arguments = { path = "/workspace/out/l", name = "l", media_type = "a/b" } },
]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo later > out/r.html" } }]
[[scenarios.turns]]
text = "kept"

[[scenarios]]
when = "^hostile"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = '''
ln -s /etc/passwd out; ln -s /proc/self/environ env; mkdir folder; mkfifo pipe; echo a > a
truncate -s 52428801 big
''' } }]
[[scenarios.turns]]
tool_calls = [
  { name = "save_artifact", arguments = { path = "out" } },
  { name = "save_artifact", arguments = { path = "env" } },
  { name = "save_artifact", arguments = { path = "folder" } },
  { name = "save_artifact", arguments = { path = "pipe" } },
  { name = "save_artifact", arguments = { path = "../etc/passwd" } },
  { name = "save_artifact", arguments = { path = "missing" } },
  { name = "save_artifact", arguments = { path = "a", name = ".." } },
  { name = "save_artifact", arguments = { path = "a", name = "x/../../y" } },
  { name = "save_artifact", arguments = { path = "a", name = "a\u202Eb" } },
  { name = "save_artifact", arguments = { path = "a", media_type = "text/html\r\nX: y" } },
  { name = "save_artifact", arguments = { path = "big" } },
]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "truncate -s 52428800 big" } }]
[[scenarios.turns]]
tool_calls = [{ name = "save_artifact", arguments = { path = "big" } }]
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^ask"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo one > a.txt" } }]
[[scenarios.turns]]
tool_calls = [{ name = "save_artifact", arguments = { path = "a.txt" } }]
[[scenarios.turns]]
text = "{last_result}"
"""


async def kept(stack: Stack, run: RunId) -> list[Artifact]:
    return await stack.read(lambda connection: artifacts.list_artifacts(connection, run))


def codes(told: list[Event]) -> list[str]:
    """How the calls of `save_artifact` ended, in the order in which they were asked for."""
    order = [
        event["tool_execution_id"]
        for event in of_type(told, "tool_execution.requested")
        if event["tool"] == "save_artifact"
    ]
    ends = {event["tool_execution_id"]: event for event in of_type(told, "tool_execution.completed")}
    return [ends[execution]["preview"].partition(":")[0].split()[0] for execution in order]


async def test_a_file_is_kept_as_it_is_at_that_moment(stack: Stack) -> None:
    run = await stack.create("keep", target=DEV)
    told = await stack.ended(run)
    by_name = {one.name: one for one in await kept(stack, run)}
    assert {name: (one.media_type, one.size) for name, one in by_name.items()} == {
        "r.html": ("text/html", 4),
        "l": ("a/b", 4),
    }
    digest = digest_bytes(b"<p>\n")
    assert {one.digest for one in by_name.values()} == {digest}
    assert stack.database.blobs.get(digest) == b"<p>\n"
    assert sorted(event["name"] for event in of_type(told, "artifact.saved")) == ["l", "r.html"]
    assert len([one for one in await stack.ledger(run) if one.effect == "idempotent_write"]) == 2


async def test_links_out_of_the_tree_folders_and_hostile_names_are_refused(stack: Stack) -> None:
    run = await stack.create("hostile", target=DEV)
    told = await stack.ended(run)
    assert codes(told) == [
        "target.path_refused",
        "target.path_refused",
        "target.not_a_file",
        "target.not_a_file",
        "target.path_refused",
        "target.not_found",
        "artifact.name_refused",
        "artifact.name_refused",
        "artifact.name_refused",
        "artifact.media_type_refused",
        "artifact.too_large",
        "kept",
    ]
    (one,) = await kept(stack, run)
    assert (one.name, one.size) == ("big", MOST_BYTES)


async def test_a_worker_that_dies_after_keeping_keeps_nothing_twice(stack: Stack) -> None:
    stack.arm("after_effect", "save_artifact")
    run = await stack.create("keep", target=DEV)
    worker = stack.workers[-1]
    await until(lambda: worker.ended, 60, f"nothing was kept\n{stack.logs()}")
    await stack.start_worker()
    told = await stack.ended(run)
    assert len(await kept(stack, run)) == len(of_type(told, "artifact.saved")) == 2
    assert codes(told) == ["kept", "kept"]


async def test_an_approval_covers_the_bytes(stack: Stack) -> None:
    asking = [{"kind": "tool", "name": "bash"}, {"kind": "tool", "name": "save_artifact", "approval": "ask"}]
    run = await stack.create("ask", target=DEV, capabilities=asking)
    asked = await stack.checkpoint(run)
    assert asked.envelope is not None
    assert asked.envelope.files == {"a.txt": digest_bytes(b"one\n")}
    await stack.decide(asked, "approve")
    assert "4 bytes" in (await stack.ended(run))[-1]["output_text"]
    assert [one.name for one in await kept(stack, run)] == ["a.txt"]
