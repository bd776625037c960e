"""MCP servers that are programs: approved word by word, in a box of their own, gone with the run; and what
they ask in the middle of a call."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from capabilities.mcp_launch import in_words, permission
from protocol.checkpoint import Checkpoint
from protocol.config_text import parse_config
from protocol.ids import RunId
from protocol.mcp import ELICITATION, StdioEntry
from records import snapshots, standing
from records.decisions import Decided
from records.tx import Tx
from targets.images import mcp_tag
from tests import mcp_program
from tests.invariants import assert_standing_invariants
from tests.processes import until
from tests.stack import Stack, docker, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

SOURCE = Path(mcp_program.__file__).read_text()
SECRET = "the-secret-of-the-server"
SERVERS = f"""
[mcp_servers.own]
recheck_ms = 0
effects = {{ echo = "read_only", get-env = "read_only", look = "read_only" }}
[mcp_servers.own.stdio]
command = ["python3", "-c", {json.dumps(SOURCE)}]
image = "default"
env = {{ GREETING = "hello" }}
secrets = {{ TOKEN = {{ kind = "file", name = "token" }} }}
limits = {{ memory_mb = 128, disk_mb = 16 }}

[mcp_servers.planted]
effects = {{ echo = "read_only" }}
[mcp_servers.planted.stdio]
command = ["python3", "-c", "print('never')"]
image = "default"

[mcp_servers.files]
effects = {{ write_file = "idempotent_write", list_directory = "read_only" }}
[mcp_servers.files.stdio]
command = ["mcp-server-filesystem", "/workspace"]

[mcp_servers.everything]
effects = {{ echo = "read_only", get-env = "read_only" }}
[mcp_servers.everything.stdio]
command = ["mcp-server-everything", "stdio"]
"""

SCRIPT = "\n".join(
    f"""
[[scenarios]]
when = "^{when}$"
[[scenarios.turns]]
tool_calls = [{", ".join(f'{{ name = "{name}", arguments = {arguments} }}' for name, arguments in calls)}]
[[scenarios.turns]]
text = "I got: {{last_result}}"
"""
    for when, calls in {
        "env": [("own__get-env", "{ }")],
        "look": [("own__look", "{ }")],
        "twice": [("own__echo", '{ message = "one" }'), ("own__echo", '{ message = "two" }')],
        "planted": [("planted__echo", "{ }")],
        "die": [("own__die", "{ }")],
        "ask": [("own__ask", "{ }")],
        "ask again": [("own__ask_again", "{ }")],
        "files": [
            ("files__write_file", '{ path = "/workspace/note.txt", content = "kept" }'),
            ("files__list_directory", '{ path = "/workspace" }'),
        ],
        "everything": [("everything__get-env", "{ }")],
    }.items()
)


def declared(name: str) -> StdioEntry:
    entry = parse_config(SERVERS, name="rhone.toml").mcp_servers[name].stdio
    assert entry is not None
    return entry


async def approve(stack: Stack, name: str) -> str:
    """What the gateway commits when an administrator agrees."""
    entry = declared(name)

    def unit(tx: Tx) -> str:
        made = standing.draft(tx, entry.command, None, stack.admin.id, None)
        told = {"tool": permission(name, entry), "words": in_words(name, entry)}
        return standing.add(tx, stack.tenant, made.model_copy(update=told)).id

    return await stack.writer.commit(unit)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(
    temporal_server: TemporalServer, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Stack]:
    folder = tmp_path_factory.mktemp("mcp_programs")
    async with Stack(folder / "data", temporal_server, cache, SCRIPT, mcp=SERVERS) as stack:
        (stack.data / "token").write_text(SECRET)
        for name in ("own", "files", "everything"):
            await approve(stack, name)
        await stack.start_worker(RHONE_TEST_LEAK="leaked")
        yield stack


@pytest_asyncio.fixture(loop_scope="module")
async def stack(opened: Stack) -> AsyncGenerator[Stack]:
    before = len(opened.runs)
    yield opened
    await assert_standing_invariants(opened, opened.runs[before:])


def asks(server: str, *tools: str) -> list[dict[str, Any]]:
    return [{"kind": "mcp", "server": server, "tools": list(tools)}]


async def snapshot_of(stack: Stack, run: RunId) -> Any:
    snapshot_id = (await stack.record(run)).run.capability_snapshot_id
    assert snapshot_id is not None
    return await stack.read(
        lambda c: (snapshots.load(c, snapshot_id), snapshots.list_evidence(c, snapshot_id))
    )


def told_json(told: list[dict[str, Any]]) -> Any:
    said = told[-1]["output_text"]
    return json.JSONDecoder().raw_decode(said[said.index("{") :])[0]


async def test_a_program_gets_only_the_environment_that_is_declared_for_it(stack: Stack) -> None:
    """MCP-08."""
    run = await stack.create("env", capabilities=asks("own", "get-env"))
    told = await stack.ended(run)
    environment = told_json(told)
    assert set(environment) <= {
        *("GREETING", "TOKEN", "PATH", "HOME", "LANG", "PYTHONDONTWRITEBYTECODE", "RHONE_EXECUTION"),
        *("PWD", "LC_CTYPE", "SHLVL", "_"),
    }
    assert environment["GREETING"] == "hello"
    assert "leaked" not in json.dumps(told)
    _, evidence = await snapshot_of(stack, run)
    [row] = [row for row in evidence if row.kind == "mcp_server"]
    container = row.body["box"]["container"]
    assert (container["NetworkMode"], container["ReadonlyRootfs"], container["CapDrop"]) == (
        "none",
        True,
        ["ALL"],
    )
    assert "stdio sha256:" in row.body["source_identity"]
    assert SECRET not in json.dumps(row.body)


async def test_a_program_has_no_network_and_no_way_to_its_box(stack: Stack) -> None:
    run = await stack.create("look", capabilities=asks("own", "look"))
    assert told_json(await stack.ended(run)) == {
        "uid": 1000,
        "network": "OSError",
        "root": "OSError",
        "engine": False,
        "interfaces": ["lo"],
    }


async def test_one_program_serves_a_run_and_its_box_is_gone_afterwards(stack: Stack) -> None:
    run = await stack.create("twice", capabilities=asks("own", "echo"), limits={"parallel_tools": False})
    told = await stack.ended(run)
    assert "Echo: two (2 calls)" in told[-1]["output_text"]
    await until(lambda: not stack.containers(), 30, "the box of the server is still there")


async def test_a_program_that_nobody_approved_is_never_started(stack: Stack) -> None:
    """MCP-08."""
    run = await stack.create("planted", capabilities=asks("planted", "echo"))
    await stack.ended(run)
    snapshot, _ = await snapshot_of(stack, run)
    [denial] = snapshot.document.denials
    assert (denial.name, denial.rule) == ("planted__echo", "mcp.not_approved")
    assert "rhone mcp approve planted" in denial.reason


async def test_an_approval_is_for_one_launch_and_can_be_taken_back(stack: Stack) -> None:
    other = declared("planted").model_copy(update={"command": ("python3", "-c", "print('other')")})

    def unit(tx: Tx) -> str:
        made = standing.draft(tx, other.command, None, stack.admin.id, None)
        return standing.add(
            tx, stack.tenant, made.model_copy(update={"tool": permission("planted", other)})
        ).id

    await stack.writer.commit(unit)
    run = await stack.create("planted", capabilities=asks("planted", "echo"))
    await stack.ended(run)
    assert [one.rule for one in (await snapshot_of(stack, run))[0].document.denials] == ["mcp.not_approved"]
    kept = await approve(stack, "planted")
    run = await stack.create("planted", capabilities=asks("planted", "echo"))
    await stack.ended(run)
    assert [one.rule for one in (await snapshot_of(stack, run))[0].document.denials] == ["mcp.unreachable"]
    await stack.writer.commit(lambda tx: standing.revoke(tx, stack.tenant, kept))
    run = await stack.create("planted", capabilities=asks("planted", "echo"))
    await stack.ended(run)
    assert [one.rule for one in (await snapshot_of(stack, run))[0].document.denials] == ["mcp.not_approved"]


async def test_a_program_that_dies_in_a_call_of_unknown_effect_leaves_a_question(stack: Stack) -> None:
    run = await stack.create("die", capabilities=asks("own", "die"))
    first = await stack.checkpoint(run)
    assert isinstance(await stack.decide(first, "approve"), Decided)
    unknown = await stack.checkpoint(run, 2)
    assert unknown.kind == "outcome_unknown"
    assert isinstance(await stack.decide(unknown, "answer", answer={"resolution": "failed"}), Decided)
    told = await stack.ended(run)
    assert len(of_type(told, "tool_execution.started")) == 2


async def begun(stack: Stack, words: str, tool: str) -> tuple[RunId, Checkpoint]:
    """A run whose call was approved, and the question that the server asks in the middle of it."""
    run = await stack.create(words, capabilities=asks("own", tool))
    assert isinstance(await stack.decide(await stack.checkpoint(run), "approve"), Decided)
    question = await stack.checkpoint(run, 2)
    assert (question.kind, question.rule) == ("question", ELICITATION)
    assert "The MCP server own asks in the middle of" in question.rendered
    assert "| Who are you?" in question.rendered
    return run, question


async def test_an_answer_goes_back_to_the_server_that_asked(stack: Stack) -> None:
    run, question = await begun(stack, "ask", "ask")
    assert isinstance(await stack.decide(question, "answer", answer={"name": "Ada", "age": 36}), Decided)
    told = await stack.ended(run)
    assert '{"age": 36, "name": "Ada"}' in told[-1]["output_text"]
    assert "(1 calls)" in told[-1]["output_text"]
    [done] = of_type(told, "tool_execution.completed")
    assert not done["is_error"]


async def test_two_questions_are_asked_in_turn_and_a_denial_declines(stack: Stack) -> None:
    run, question = await begun(stack, "ask again", "ask_again")
    assert isinstance(await stack.decide(question, "deny"), Decided)
    second = await stack.checkpoint(run, 3)
    assert "| And who else?" in second.rendered
    assert isinstance(await stack.decide(second, "answer", answer={"name": "Bob"}), Decided)
    said = (await stack.ended(run))[-1]["output_text"]
    assert '[{"action": "decline"}, {"action": "accept", "content": {"name": "Bob"}}]' in said


async def test_a_run_that_is_cancelled_ends_the_server_that_asks(stack: Stack) -> None:
    run, _ = await begun(stack, "ask", "ask")
    await stack.cancel(run)
    assert (await stack.ended(run))[-1]["type"] == "run.cancelled"
    await until(lambda: not stack.containers(), 30, "the box of the server is still there")


async def test_a_worker_that_dies_under_a_question_leaves_the_outcome_to_a_person(stack: Stack) -> None:
    run, question = await begun(stack, "ask", "ask")
    stack.workers[-1].kill()
    await stack.start_worker()
    assert isinstance(await stack.decide(question, "answer", answer={"name": "Ada"}), Decided)
    unknown = await stack.checkpoint(run, 3)
    assert unknown.kind == "outcome_unknown"
    assert isinstance(await stack.decide(unknown, "answer", answer={"resolution": "retry"}), Decided)
    again = await stack.checkpoint(run, 4)
    assert again.rule == ELICITATION
    assert isinstance(await stack.decide(again, "answer", answer={"name": "Eve"}), Decided)
    assert '{"name": "Eve"}' in (await stack.ended(run))[-1]["output_text"]


async def test_servers_of_the_reference_set_do_their_work_in_a_box(stack: Stack) -> None:
    """Without the packages of npm there is no image, and the run is told so."""
    run = await stack.create("files", capabilities=asks("files", "write_file", "list_directory"))
    if not docker("images", "-q", mcp_tag()):
        await stack.ended(run)
        denials = (await snapshot_of(stack, run))[0].document.denials
        assert [(one.rule, mcp_tag() in one.reason) for one in denials] == [("mcp.unreachable", True)] * 2
        return
    checkpoint = await stack.checkpoint(run)
    assert isinstance(await stack.decide(checkpoint, "approve"), Decided)
    told = await stack.ended(run)
    assert "note.txt" in told[-1]["output_text"]
    run = await stack.create("everything", capabilities=asks("everything", "get-env"))
    assert set(told_json(await stack.ended(run))) == {
        *("PATH", "HOME", "LANG", "PYTHONDONTWRITEBYTECODE", "RHONE_EXECUTION")
    }
