"""APR-09: a command that was approved is a command over the files that it names, as they were."""

from typing import Any

import pytest

from protocol.digest import digest_bytes
from protocol.errors import TargetRefused
from protocol.target import Command
from targets.memory import MemoryTarget, Scripted
from targets.target import Target
from tests.unit.worker.test_workspace_acts import Log, doing
from worker.act import Prepared
from worker.named_files import ABSENT, MOST_BYTES, MOST_WORDS, digests, named
from worker.workspace_acts import Files, Shell

ONE, TWO = b"echo one\n", b"echo two\n"


class Bench:
    """A box in memory that counts the commands that it was told to start."""

    def __init__(self, **files: bytes) -> None:
        self.started: list[str] = []
        self.target = MemoryTarget(
            {name.replace("__", "."): data for name, data in files.items()}, self._told
        )
        self.shell = Shell(self._attached, Log(), {})
        self.files = Files(self._attached)

    async def _attached(self) -> Target:
        return self.target

    def _told(self, command: Command) -> Scripted:
        self.started.append(command.argv[-1])
        return Scripted(b"done")

    async def asks(self, command: str) -> Prepared:
        return await self.shell.prepare(doing("bash", command=command).model_copy(update={"asked": True}))


COMMANDS = [
    "bash run.sh",
    "./run.sh --fast",
    "sh -c 'bash run.sh'",
    "true && /workspace/run.sh; echo",
    'cat "run.sh"|sh',
    "bash <run.sh>out",
    "python -X a=run.sh",
    "sub/../run.sh",
    "$(bash run.sh)",
    "bash 'run.sh",
    "env A=1 nice bash -x run.sh",
    "time\nbash\trun.sh",
]


@pytest.mark.parametrize("command", COMMANDS)
async def test_a_script_that_changed_after_the_approval_is_not_run(command: str) -> None:
    bench = Bench(run__sh=ONE)
    prepared = await bench.asks(command)
    assert prepared.files["run.sh"] == digest_bytes(ONE)
    bench.target.files["run.sh"] = TWO
    result = await bench.shell.perform(doing("bash", command=command), prepared, 1)
    assert (result.outcome, bench.started) == ("failed", [])
    assert "run.sh changed after the approval" in result.text


async def test_a_script_that_is_as_approved_is_run() -> None:
    bench = Bench(run__sh=ONE, other=TWO)
    prepared = await bench.asks("bash run.sh")
    bench.target.files["other"] = ONE
    await bench.shell.perform(doing("bash", command="bash run.sh"), prepared, 1)
    assert bench.started == ["bash run.sh"]


@pytest.mark.parametrize("command", ["bash run.sh", "bin/run"])
async def test_a_script_that_was_not_there_does_not_come_into_being(command: str) -> None:
    bench = Bench()
    prepared = await bench.asks(command)
    name = command.split()[-1]
    assert prepared.files == {name: ABSENT}
    bench.target.files[name] = ONE
    assert (await bench.shell.perform(doing("bash", command=command), prepared, 1)).outcome == "failed"
    assert bench.started == []


async def test_a_file_without_a_like_name_that_appears_is_seen_as_well() -> None:
    bench = Bench(run__sh=ONE)
    prepared = await bench.asks("bash run.sh deploy")
    assert prepared.files == {"run.sh": digest_bytes(ONE)}
    bench.target.files["deploy"] = TWO
    result = await bench.shell.perform(doing("bash", command="bash run.sh deploy"), prepared, 1)
    assert (result.outcome, bench.started) == ("failed", [])


async def test_a_command_that_nobody_is_asked_about_costs_no_look() -> None:
    bench = Bench(run__sh=ONE)
    assert (await bench.shell.prepare(doing("bash", command="bash run.sh"))).files == {}


async def test_a_started_command_that_changed_its_own_file_is_followed_to_its_end() -> None:
    bench = Bench(run__sh=ONE)
    prepared = await bench.asks("bash run.sh")
    await bench.shell.perform(doing("bash", command="bash run.sh"), prepared, 1)
    bench.target.files["run.sh"] = TWO
    again = await bench.shell.perform(doing("bash", "claimed", command="bash run.sh"), prepared, 1)
    assert (again.outcome, again.text, len(bench.started)) == ("succeeded", "done", 1)


async def test_a_claimed_command_that_was_never_started_is_not_started_over_another_file() -> None:
    bench = Bench(run__sh=ONE)
    prepared = await bench.asks("bash run.sh")
    bench.target.files["run.sh"] = TWO
    again = await bench.shell.perform(doing("bash", "claimed", command="bash run.sh"), prepared, 1)
    assert (again.outcome, bench.started) == ("failed", [])


async def test_what_is_too_much_to_cover_is_refused_before_anybody_is_asked() -> None:
    bench = Bench(big=b"x" * (MOST_BYTES + 1))
    with pytest.raises(TargetRefused, match="an approval cannot cover it"):
        await bench.asks("bash big")
    with pytest.raises(TargetRefused, match="write it into a file"):
        await bench.asks(" ".join(f"w{number}" for number in range(MOST_WORDS + 1)))


def test_paths_outside_of_the_work_tree_are_no_files_of_it() -> None:
    assert named("cat /etc/passwd ../x /workspace/a ./b .") == ["cat", "a", "b"]


async def test_folders_and_plain_words_are_not_listed() -> None:
    bench = Bench()
    bench.target.files["src/a.py"] = ONE
    assert await digests(bench.target, "pytest -q src") == {}


@pytest.mark.parametrize("tool", ["write_file", "edit_file"])
async def test_an_approved_write_replaces_only_what_was_there(tool: str) -> None:
    words: dict[str, Any] = {"path": "a.txt", "content": "new", "old_text": "one", "new_text": "new"}
    bench = Bench(a__txt=b"one")
    prepared = await bench.files.prepare(doing(tool, **words).model_copy(update={"asked": True}))
    assert prepared.files == {"a.txt": digest_bytes(b"one")}
    bench.target.files["a.txt"] = b"one more"
    result = await bench.files.perform(doing(tool, **words), prepared, 1)
    assert (result.outcome, bench.target.files["a.txt"]) == ("failed", b"one more")
    bench.target.files["a.txt"] = b"one"
    await bench.files.perform(doing(tool, **words), prepared, 1)
    assert bench.target.files["a.txt"] == b"new"
