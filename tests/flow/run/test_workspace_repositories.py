"""Workspaces on repositories: a later run of a session goes on where the last one was."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from protocol.ids import SessionId
from records import boxes, snapshots
from tests.invariants import assert_standing_invariants
from tests.stack import Event, Stack, of_type
from tests.targets.repository import Repository
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
    "begin": "echo one > a.txt; git add a.txt; git commit -qm One; echo dirty > b.txt",
    "go on": "git branch --show-current; git log --format=%s; cat a.txt b.txt; echo two > c.txt",
    "again": "cat a.txt b.txt c.txt",
}
SCRIPT = "".join(TURNS.format(word=word, command=command) for word, command in COMMANDS.items()) + (
    '\n[[scenarios]]\n[[scenarios.turns]]\ntext = "Only words."\n'
)


class Repositories:
    """A worker, and a forge that is a directory of repositories."""

    def __init__(self, stack: Stack, directory: Path) -> None:
        self.stack = stack
        self._directory = directory

    def make(self, name: str, files: dict[str, str]) -> str:
        """What a request names it by."""
        repository = Repository(self._directory / "acme" / f"{name}.work")
        repository.commit({path: text.encode() for path, text in files.items()})
        repository.git("clone", "-q", "--bare", ".", f"../{name}.git")
        return f"forge/{name}"

    async def run(self, text: str, session: SessionId | None = None, **target: object) -> list[Event]:
        run = await self.stack.create(text, session=session, target={**DEV, **target})
        return await self.stack.ended(run, within=120)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def repositories(
    temporal_server: TemporalServer, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Repositories]:
    forge = tmp_path_factory.mktemp("forge")
    table = (
        f'[forges.forge]\nkind = "directory"\nurl = "file://{forge}"\nowner = "acme"\n'
        'tokenRef = { kind = "file", name = "signing.key" }\n'
    )
    folder = tmp_path_factory.mktemp("stack") / "data"
    async with Stack(folder, temporal_server, cache, SCRIPT, forges=table) as stack:
        await stack.start_worker(RHONE_FORGE_ALLOW_FILE="true")
        yield Repositories(stack, forge)
        await assert_standing_invariants(stack, stack.runs)


async def test_a_later_run_of_the_session_goes_on_from_the_last_tree_and_branch(
    repositories: Repositories,
) -> None:
    stack = repositories.stack
    repo = {"remote": repositories.make("demo", {"README.md": "demo\n"}), "branch": "rhone/work"}
    first = await repositories.run("begin", repo=repo)
    session = first[0]["session_id"]
    words = await stack.ended(await stack.create("only talk", session=session))
    assert words[-1]["output_text"] == "Only words."
    second = await repositories.run("go on", session)
    assert second[-1]["output_text"] == "rhone/work\nOne\nChange\none\ndirty\n"
    third = await repositories.run("again", session)
    assert third[-1]["output_text"] == "one\ndirty\ntwo\n"
    granted = [
        await stack.read(lambda c, one=told: snapshots.load(c, _resolved(one))) for told in (first, third)
    ]
    assert granted[0] is not None
    assert granted[1] is not None
    assert granted[0].document.repository == granted[1].document.repository
    assert (await stack.read(lambda c: boxes.trees_of(c, third[0]["run_id"]))) == []


def _resolved(told: list[Event]) -> str:
    return of_type(told, "capability.resolved")[0]["capability_snapshot_id"]
