"""Workspaces on repositories: what they are made of, set up once, and gone on with in a later run."""

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from protocol.capability import CapabilitySnapshot
from protocol.ids import SessionId, SnapshotId
from protocol.noun import JSONObject
from protocol.workspace import SET_UP, ImageBuild
from records import boxes, snapshots
from targets.images import default_tag
from tests.directory_forge import ALLOWED, DirectoryForge
from tests.invariants import assert_standing_invariants
from tests.stack import Event, Stack, docker, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

DEV = {"kind": "workspace", "name": "dev"}
TURNS = """
[[scenarios]]
when = "^{word}$"
[[scenarios.turns]]
tool_calls = [{{ name = "bash", arguments = {{ command = '''{command}''' }} }}]
[[scenarios.turns]]
text = "{{last_result}}"
"""
COMMANDS = {
    "look": "cat /opt/greeting; id -un; echo $COLOUR",
    "stamp": "cat .state/stamp ~/.stamp",
    "linger": "cat .state/stamp ~/.stamp; sleep 4",
    "call it": "true",
}
TARGETS = """
[targets.built]
kind = "workspace"
dockerfile = "images/Dockerfile"
env = { COLOUR = "red" }
limits = { memory_mb = 384, disk_mb = 128 }

[targets.container]
kind = "workspace"
devcontainer = ".devcontainer/devcontainer.json"
limits = { memory_mb = 384, disk_mb = 128 }

[targets.ready]
kind = "workspace"
setup = ["./prepare.sh", "echo second"]
env = { COLOUR = "blue" }
limits = { memory_mb = 384, disk_mb = 128 }

[targets.secret]
kind = "workspace"
env = { TOKEN = "ghp_0123456789abcdef0123456789abcdef0123" }
"""
PREPARE = """#!/bin/sh
set -e
mkdir -p .state
od -An -N8 -tx1 /dev/urandom > .state/stamp
cp .state/stamp ~/.stamp
echo "$COLOUR" > .state/colour
[ ! -e broken ] || { echo the reason; exit 9; }
[ ! -e slow ] || { echo slow; sleep 600; }
"""
READY = {"prepare.sh": PREPARE, ".gitignore": ".state/\n", "requirements.txt": "one\n"}
SESSION = """
[[scenarios]]
when = "^talk$"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = '''
echo one > a.txt; git add a.txt; git commit -qm One; echo dirty > b.txt; cat .state/stamp
''' } }]
[[scenarios.turns]]
text = "{last_result}"
[[scenarios.turns]]
text = "Only words."
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = '''
git branch --show-current; git log --format=%s; cat a.txt b.txt .state/stamp; echo two > c.txt
''' } }]
[[scenarios.turns]]
text = "{last_result}"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "cat a.txt b.txt c.txt .state/stamp" } }]
[[scenarios.turns]]
text = "{last_result}"
"""
SCRIPT = SESSION + "".join(TURNS.format(word=word, command=command) for word, command in COMMANDS.items())


class Repositories:
    """A worker, and a forge."""

    def __init__(self, stack: Stack, forge: DirectoryForge) -> None:
        self.stack = stack
        self.make = forge.make

    async def run(self, text: str, session: SessionId | None = None, **target: object) -> list[Event]:
        run = await self.stack.create(text, session=session, target={**DEV, **target})
        return await self.stack.ended(run, within=120)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def repositories(
    temporal_server: TemporalServer, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Repositories]:
    forge = DirectoryForge(tmp_path_factory.mktemp("forge"))
    folder = tmp_path_factory.mktemp("stack") / "data"
    tables = {"forges": forge.table, "made": TARGETS}
    async with Stack(folder, temporal_server, cache, SCRIPT, **tables) as stack:
        await stack.start_worker(**ALLOWED)
        yield Repositories(stack, forge)
        await assert_standing_invariants(stack, stack.runs)


async def test_a_later_run_of_the_session_goes_on_from_the_last_tree_and_has_its_set_up(
    repositories: Repositories,
) -> None:
    stack = repositories.stack
    repo = {"remote": repositories.make("demo", READY), "branch": "rhone/work"}
    first = await repositories.run("talk", name="ready", repo=repo)
    session = first[0]["session_id"]
    words = await stack.ended(await stack.create("only talk", session=session))
    assert words[-1]["output_text"] == "Only words."
    second = await repositories.run("go on", session, name="ready")
    stamp = first[-1]["output_text"]
    assert second[-1]["output_text"] == f"rhone/work\nOne\nChange\none\ndirty\n{stamp}"
    assert [_set_up(told) for told in (first, second)] == ["done", "taken"]
    third = await repositories.run("again", session, name="ready")
    assert third[-1]["output_text"] == f"one\ndirty\ntwo\n{stamp}"
    granted = [(await snapshot_of(stack, told)).document for told in (first, third)]
    assert granted[0].repository == granted[1].repository
    assert granted[0].workspace == granted[1].workspace
    assert (await stack.read(lambda c: boxes.trees_of(c, third[0]["run_id"]))) == []


def _set_up(told: list[Event]) -> str:
    """Whether a run's workspace was set up, or what an earlier set-up made was taken."""
    [execution] = [one for one in of_type(told, "tool_execution.requested") if one["tool"] == SET_UP]
    done = of_type(told, "tool_execution.completed")
    said = next(one for one in done if one["tool_execution_id"] == execution["tool_execution_id"])["preview"]
    return "taken" if said.startswith("taken from an earlier set-up: sha256:") else "done"


def _resolved(told: list[Event]) -> str:
    return of_type(told, "capability.resolved")[0]["capability_snapshot_id"]


async def snapshot_of(stack: Stack, told: list[Event]) -> CapabilitySnapshot:
    found = await stack.read(lambda c: snapshots.load(c, SnapshotId(_resolved(told))))
    assert found is not None
    return found


async def evidence_of(stack: Stack, told: list[Event]) -> JSONObject:
    """What the first box of a run was made of."""
    rows = await stack.read(lambda c: snapshots.list_evidence(c, SnapshotId(_resolved(told))))
    return next(row.body for row in rows if row.kind == "workspace")


async def test_a_box_of_the_repositorys_dockerfile(repositories: Repositories) -> None:
    dockerfile = f"FROM {default_tag()}\nCOPY greeting /opt/greeting\n"
    repo = {"remote": repositories.make("made", {"images/Dockerfile": dockerfile, "greeting": "hello\n"})}
    told = await repositories.run("look", name="built", repo=repo)
    assert told[-1]["output_text"] == "hello\nagent\nred\n"
    kept = await snapshot_of(repositories.stack, told)
    assert kept.document.workspace is not None
    assert kept.document.workspace.build == ImageBuild(dockerfile="images/Dockerfile")
    evidence = await evidence_of(repositories.stack, told)
    built = docker("images", "-q", "--no-trunc", "--filter", "reference=rhone/built").split()
    assert evidence["image"] in built
    assert evidence["plan"] == {"build": {"dockerfile": "images/Dockerfile"}, "env": ["COLOUR"]}
    docker("rmi", "-f", str(evidence["image"]))


async def test_a_box_of_the_repositorys_devcontainer(repositories: Repositories) -> None:
    devcontainer = {
        "image": default_tag(),
        "features": {"ghcr.io/devcontainers/features/node:1": {}},
        "runArgs": ["--privileged"],
        "containerEnv": {"COLOUR": "green", "TOKEN": "${localEnv:TOKEN}"},
        "postCreateCommand": "mkdir .state; echo $COLOUR > .state/stamp; echo home > ~/.stamp",
    }
    files = {
        ".devcontainer/devcontainer.json": f"// ours\n{json.dumps(devcontainer)}",
        ".gitignore": ".state/\n",
    }
    told = await repositories.run("stamp", name="container", repo={"remote": repositories.make("con", files)})
    assert told[-1]["output_text"] == "green\nhome\n"
    names = ["devcontainer.features", "devcontainer.runArgs", "devcontainer.containerEnv.TOKEN"]
    assert of_type(told, "capability.resolved")[0]["downgrades"] == {"count": 3, "names": names}
    plan = (await evidence_of(repositories.stack, told))["plan"]
    assert isinstance(plan, dict)
    unserved = plan["unserved"]
    assert isinstance(unserved, list)
    assert [one["name"] for one in unserved if isinstance(one, dict)] == names


async def test_what_cannot_be_made_ends_the_run_with_its_reason(repositories: Repositories) -> None:
    repo = {"remote": repositories.make("bare", {"README.md": "x\n"})}
    for target, code in (
        ("built", "target.image_missing"),
        ("container", "target.image_missing"),
        ("secret", "target.environment_refused"),
    ):
        told = await repositories.run("look", name=target, repo=repo)
        assert (told[-1]["type"], told[-1]["error"]["code"]) == ("run.failed", code), told[-1]
    told = await repositories.run("look", name="built")
    assert told[-1]["error"]["param"] == "target.repo"
    broken = f"FROM {default_tag()}\nRUN echo the reason; exit 7\n"
    repo = {"remote": repositories.make("unbuilt", {"images/Dockerfile": broken})}
    error = (await repositories.run("look", name="built", repo=repo))[-1]["error"]
    assert error["code"] == "target.build_failed"
    assert "the reason" in error["message"]


async def test_a_set_up_runs_once_and_is_taken_again_until_its_files_change(
    repositories: Repositories,
) -> None:
    repo = {"remote": repositories.make("ready", READY)}
    first = await repositories.run("stamp", name="ready", repo=repo)
    done = of_type(first, "tool_execution.completed")[0]
    assert "+ ./prepare.sh" in done["preview"]
    assert "+ echo second\nsecond" in done["preview"]
    assert [one["tool"] for one in of_type(first, "tool_execution.requested")] == [SET_UP, "bash"]
    assert len(of_type(first, "step.started")) == 2
    second = await repositories.run("stamp", name="ready", repo=repo)
    assert "taken from an earlier set-up" in of_type(second, "tool_execution.completed")[0]["preview"]
    assert second[-1]["output_text"] == first[-1]["output_text"]
    other = {"remote": repositories.make("other", {**READY, "requirements.txt": "two\n"})}
    third = await repositories.run("stamp", name="ready", repo=other)
    assert "+ ./prepare.sh" in of_type(third, "tool_execution.completed")[0]["preview"]
    assert third[-1]["output_text"] != first[-1]["output_text"]


async def test_a_box_that_is_rebuilt_has_its_set_up(repositories: Repositories) -> None:
    stack = repositories.stack
    repo = {"remote": repositories.make("rebuilt", READY)}
    run = await stack.create("linger", target={**DEV, "name": "ready", "repo": repo})
    shown = await stack.until(run, lambda told: _stamp(told))
    docker("kill", await stack.box(run))
    told = await stack.ended(run)
    assert [event["generation"] for event in of_type(told, "target.materialized")] == [1, 2]
    assert told[-1]["output_text"] == shown


def _stamp(told: list[Event]) -> str | None:
    """What the first command after the set-up has said."""
    asked = of_type(told, "tool_execution.requested")
    said = of_type(told, "tool_execution.output")
    if len(asked) < 2:
        return None
    text = "".join(one["delta"] for one in said if one["tool_execution_id"] == asked[1]["tool_execution_id"])
    return text if text.count("\n") == 2 else None


async def test_a_set_up_that_fails_or_is_denied_ends_the_run_before_its_first_step(
    repositories: Repositories,
) -> None:
    repo = {"remote": repositories.make("broken", {**READY, "broken": "yes\n"})}
    told = await repositories.run("stamp", name="ready", repo=repo)
    assert told[-1]["type"] == "run.failed"
    assert told[-1]["error"]["code"] == "target.setup_failed"
    assert "+ ./prepare.sh\nthe reason\n" in told[-1]["error"]["message"]
    assert "9" in told[-1]["error"]["message"]
    assert of_type(told, "step.started") == []

    asking = [{"kind": "tool", "name": SET_UP, "approval": "ask"}, {"kind": "tool", "name": "bash"}]
    stack = repositories.stack
    target = {**DEV, "name": "ready", "repo": {"remote": repositories.make("asked", READY)}}
    run = await stack.create("call it", target=target, capabilities=asking)
    asked = await stack.checkpoint(run)
    assert "./prepare.sh" in asked.rendered
    assert asked.envelope is not None
    assert set(asked.envelope.files) == {"prepare.sh", "requirements.txt"}
    await stack.decide(asked, "deny", reason="not here")
    told = await stack.ended(run)
    assert (told[-1]["stop_reason"], told[-1]["error"]["code"]) == ("denied", "target.setup_denied")
    again = await stack.create("call it", target=target, capabilities=asking)
    await stack.decide(await stack.checkpoint(again), "approve")
    assert (await stack.ended(again))[-1]["type"] == "run.completed"


async def test_an_interrupt_or_a_stop_of_a_set_up_ends_the_run(repositories: Repositories) -> None:
    stack = repositories.stack
    target = {**DEV, "name": "ready", "repo": {"remote": repositories.make("slow", {**READY, "slow": ""})}}
    run = await stack.create("call it", target=target)
    await stack.told(run, "tool_execution.output")
    await stack.interrupt(run, message="call it")
    told = await stack.ended(run)
    assert (told[-1]["type"], told[-1]["error"]["code"]) == ("run.failed", "target.setup_failed")
    run = await stack.create("call it", target=target)
    await stack.told(run, "tool_execution.output")
    await stack.cancel(run)
    told = await stack.ended(run)
    assert told[-1]["type"] == "run.cancelled"
    assert of_type(told, "step.started") == []
