"""What every target does, whichever it is: commands by their ids, files under one root."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import NamedTuple

import pytest

from protocol.digest import digest_bytes
from protocol.errors import TargetLost, TargetRefused
from protocol.ids import BoxId, ToolExecutionId, fresh
from protocol.target import BoxSpec, Command, Exit, Match, Offsets, Output
from targets.target import Host, Target
from tests.escapes import escapes


class Heard(NamedTuple):
    """All that a command said."""

    stdout: bytes
    stderr: bytes
    exit: Exit


def execution_id() -> ToolExecutionId:
    return ToolExecutionId(fresh("tool_"))


def box_id() -> BoxId:
    return BoxId(fresh("box_"))


FROM_THE_START = Offsets()


async def heard(target: Target, execution: ToolExecutionId, offsets: Offsets = FROM_THE_START) -> Heard:
    """Follows to the exit, and checks that no byte is skipped or said twice."""
    known = {"stdout": offsets.stdout, "stderr": offsets.stderr}
    said = {"stdout": b"", "stderr": b""}
    ended: Exit | None = None
    async for piece in target.follow(execution, offsets):
        assert ended is None, "nothing comes after the exit"
        match piece:
            case Output(stream=stream, offset=offset, data=data):
                assert offset == known[stream]
                known[stream] += len(data)
                said[stream] += data
            case Exit():
                ended = piece
    assert ended is not None
    return Heard(said["stdout"], said["stderr"], ended)


async def ran(target: Target, *argv: str, **options: object) -> Heard:
    execution = execution_id()
    await target.start(execution, Command.model_validate({"argv": argv, **options}))
    return await heard(target, execution)


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 60.0) -> None:
    """Waits until a question is answered yes."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, "it did not come to be"
        await asyncio.sleep(0.02)


class TargetSuite:
    """A subclass brings the fixtures `host` and `spec`."""

    @pytest.fixture
    async def target(self, host: Host, spec: BoxSpec) -> AsyncIterator[Target]:
        place = await host.create(spec, box_id())
        target = await host.attach(place)
        yield target
        await target.close()
        await host.remove(place)

    async def test_a_command_tells_its_output_and_then_its_exit(self, target: Target) -> None:
        said = await ran(target, "echo", "hello", "world")
        assert said.stdout == b"hello world\n"
        assert said.exit == Exit(
            exit_code=0,
            signal=None,
            timed_out=False,
            killed=False,
            stdout_bytes=12,
            stderr_bytes=0,
            stdout_digest=digest_bytes(b"hello world\n"),
            stderr_digest=digest_bytes(b""),
            duration_ms=said.exit.duration_ms,
        )

    async def test_a_command_that_fails_tells_its_code(self, target: Target) -> None:
        assert (await ran(target, "false")).exit.exit_code == 1

    async def test_output_is_followed_from_any_offset(self, target: Target) -> None:
        execution = execution_id()
        await target.start(execution, Command(argv=("echo", "hello world")))
        assert (await heard(target, execution)).stdout == b"hello world\n"
        assert (await heard(target, execution, Offsets(stdout=6))).stdout == b"world\n"
        again = await heard(target, execution, Offsets(stdout=12))
        assert (again.stdout, again.exit.exit_code) == (b"", 0)

    async def test_several_follow_one_command(self, target: Target) -> None:
        execution = execution_id()
        await target.start(execution, Command(argv=("bash", "-c", "sleep 0.2")))
        first, second = await asyncio.gather(heard(target, execution), heard(target, execution))
        assert first == second

    async def test_output_over_the_cap_is_counted_and_digested_but_not_kept(self, target: Target) -> None:
        said = await ran(target, "echo", "x" * 99, output_cap=10)
        assert said.stdout == b"x" * 10
        assert said.exit.stdout_bytes == 100
        assert said.exit.stdout_digest == digest_bytes(b"x" * 99 + b"\n")

    async def test_a_second_start_of_an_id_starts_nothing(self, target: Target) -> None:
        execution = execution_id()
        await target.start(execution, Command(argv=("echo", "first")))
        await target.start(execution, Command(argv=("echo", "second")))
        assert (await heard(target, execution)).stdout == b"first\n"
        await target.start(execution, Command(argv=("echo", "third")))
        assert (await heard(target, execution)).stdout == b"first\n"

    async def test_a_kill_ends_a_command_and_may_be_repeated(self, target: Target) -> None:
        execution = execution_id()
        await target.start(execution, Command(argv=("sleep", "600")))
        await target.kill(execution)
        ended = (await heard(target, execution)).exit
        assert (ended.killed, ended.timed_out, ended.exit_code, ended.signal) == (True, False, None, 9)
        await target.kill(execution)
        assert (await heard(target, execution)).exit == ended

    async def test_a_kill_of_what_never_ran_changes_nothing(self, target: Target) -> None:
        await target.kill(execution_id())

    async def test_a_kill_of_what_has_ended_leaves_its_exit(self, target: Target) -> None:
        execution = execution_id()
        await target.start(execution, Command(argv=("echo", "done")))
        ended = (await heard(target, execution)).exit
        await target.kill(execution)
        assert (await heard(target, execution)).exit == ended

    async def test_a_time_limit_ends_a_command(self, target: Target) -> None:
        ended = (await ran(target, "sleep", "600", timeout_ms=100)).exit
        assert (ended.killed, ended.timed_out, ended.exit_code, ended.signal) == (False, True, None, 9)
        assert 100 <= ended.duration_ms < 10_000

    async def test_what_was_never_started_is_lost(self, target: Target) -> None:
        with pytest.raises(TargetLost):
            await heard(target, execution_id())

    async def test_a_forgotten_command_is_lost_and_its_id_stays_taken(self, target: Target) -> None:
        execution = execution_id()
        await target.start(execution, Command(argv=("echo", "once")))
        await heard(target, execution)
        await target.forget(execution)
        await target.forget(execution)
        await target.start(execution, Command(argv=("echo", "twice")))
        with pytest.raises(TargetLost):
            await heard(target, execution)

    async def test_a_running_command_is_not_forgotten(self, target: Target) -> None:
        execution = execution_id()
        await target.start(execution, Command(argv=("sleep", "600")))
        with pytest.raises(TargetRefused, match="still running"):
            await target.forget(execution)
        await target.kill(execution)

    @pytest.mark.parametrize(
        ("argv", "code"),
        [((), "target.command_refused"), (("no-such-command",), "target.command_not_found")],
    )
    async def test_what_cannot_start_is_refused_and_its_id_stays_free(
        self, target: Target, argv: tuple[str, ...], code: str
    ) -> None:
        execution = execution_id()
        with pytest.raises(TargetRefused) as refused:
            await target.start(execution, Command(argv=argv))
        assert refused.value.code == code
        await target.start(execution, Command(argv=("echo", "now")))
        assert (await heard(target, execution)).stdout == b"now\n"

    @pytest.mark.parametrize(
        "cwd",
        [
            "/",
            "/etc",
            "..",
            "/workspace/..",
            "../workspace/../etc",
            "/workspacex",
            "/proc/self/fd/3",
            "/dev/fd/1",
        ],
    )
    async def test_a_working_directory_outside_is_refused_before_anything_starts(
        self, target: Target, cwd: str
    ) -> None:
        with pytest.raises(TargetRefused) as refused:
            await target.start(execution_id(), Command(argv=("echo", "no"), cwd=cwd))
        assert refused.value.code == "target.path_refused"

    async def test_a_working_directory_that_is_not_there_is_refused(self, target: Target) -> None:
        with pytest.raises(TargetRefused) as refused:
            await target.start(execution_id(), Command(argv=("echo", "no"), cwd="/workspace/nowhere"))
        assert refused.value.code == "target.not_found"

    async def test_a_file_is_read_as_it_was_written(self, target: Target) -> None:
        content = bytes(range(256)) * 2000
        await target.write("a/b/c.bin", content)
        assert await target.read("a/b/c.bin", limit=1_000_000) == content
        assert await target.read("/workspace/a/./b/../b/c.bin", limit=10) == content[:10]
        await target.write("/workspace/a/b/c.bin", b"")
        assert await target.read("a/b/c.bin", limit=10) == b""

    @pytest.mark.parametrize(
        "path",
        [
            "..",
            "../x",
            "/etc/passwd",
            "/workspace/../etc/passwd",
            "a/../../x",
            "/proc/self/environ",
            "/",
            "a\0b",
        ],
    )
    async def test_a_path_outside_is_refused(self, target: Target, path: str) -> None:
        for act in (target.read(path, limit=1), target.write(path, b"x")):
            with pytest.raises(TargetRefused) as refused:
                await act
            assert refused.value.code == "target.path_refused"

    async def test_no_spelling_of_a_path_leads_outside(self, target: Target) -> None:
        """FIL-02, of work trees: what is read was written, and what is written is found inside."""
        spelt = escapes("etc/passwd", "../etc/passwd", "proc/self/environ")
        assert len(spelt) >= 120
        ours = b"written by a test"
        for path in spelt:
            with suppress(TargetRefused):
                assert await target.read(path, limit=100) == ours, path
            with suppress(TargetRefused):
                await target.write(path, ours)
                assert await target.read(path, limit=100) == ours, path
            with suppress(TargetRefused):
                assert await target.grep("root:", path=path, glob="", limit=1) == (), path
        for name in await target.glob("**", limit=1_000):
            assert await target.read(name, limit=100) == ours, name

    async def test_what_is_not_there_is_not_found(self, target: Target) -> None:
        await target.write("file", b"x")
        for path in ("nothing", "nowhere/nothing", "file/below"):
            with pytest.raises(TargetRefused) as refused:
                await target.read(path, limit=1)
            assert refused.value.code == "target.not_found"

    async def test_a_folder_is_no_file(self, target: Target) -> None:
        await target.write("folder/file", b"x")
        for act in (target.read("folder", limit=1), target.write("folder", b"x"), target.write(".", b"x")):
            with pytest.raises(TargetRefused) as refused:
                await act
            assert refused.value.code == "target.not_a_file"

    @pytest.mark.parametrize(
        "path",
        [
            *(".git/hooks/pre-commit", ".git/config", "sub/.git/config", ".GIT/config", ".vscode/tasks.json"),
            *(".envrc", ".mcp.json", ".claude/settings.json", "a/../.git/config"),
        ],
    )
    async def test_what_tools_obey_is_not_written_by_the_file_tools(self, target: Target, path: str) -> None:
        with pytest.raises(TargetRefused) as refused:
            await target.write(path, b"x")
        assert refused.value.code == "target.path_protected"

    async def test_files_are_found_by_pattern(self, target: Target) -> None:
        names = ("a.py", "b.txt", "src/c.py", "src/deep/d.py", "src/deep/e.pyc", "src/.hidden.py")
        for name in names:
            await target.write(name, b"")

        async def found(pattern: str, limit: int = 100) -> tuple[str, ...]:
            return await target.glob(pattern, limit=limit)

        assert await found("*.py") == ("a.py",)
        assert await found("**/*.py") == ("a.py", "src/.hidden.py", "src/c.py", "src/deep/d.py")
        assert await found("/workspace/src/**") == tuple(sorted(names[2:]))
        assert await found("src/*/?.py") == ("src/deep/d.py",)
        assert await found("**/[!ab].{py,pyc}") == ("src/c.py", "src/deep/d.py", "src/deep/e.pyc")
        assert await found("**", limit=2) == ("a.py", "b.txt")
        assert await found("nothing") == ()

    async def test_lines_are_found_by_expression(self, target: Target) -> None:
        await target.write("a.py", b"def one():\n    return 1\n")
        await target.write("src/b.py", b"def two():\r\n    return 2")
        await target.write("src/b.txt", b"def three\n")
        await target.write("src/binary.py", b"def\0four\n")

        async def found(
            pattern: str, *, path: str = ".", glob: str = "", limit: int = 100
        ) -> tuple[Match, ...]:
            return await target.grep(pattern, path=path, glob=glob, limit=limit)

        one = Match(path="a.py", line=1, text="def one():")
        two = Match(path="src/b.py", line=1, text="def two():")
        three = Match(path="src/b.txt", line=1, text="def three")
        assert await found(r"^def \w+") == (one, two, three)
        assert await found(r"^def", glob="*.py") == (one, two)
        assert await found(r"^def", glob="src/*.txt") == (three,)
        assert await found(r"^def", path="src") == (two, three)
        assert await found(r"^def", path="/workspace/a.py") == (one,)
        assert await found(r"^def", limit=1) == (one,)
        assert await found(r"return 2$") == (Match(path="src/b.py", line=2, text="    return 2"),)
        assert await found("nothing") == ()

    async def test_a_search_that_makes_no_sense_is_refused(self, target: Target) -> None:
        with pytest.raises(TargetRefused) as refused:
            await target.grep("(", path=".", glob="", limit=1)
        assert refused.value.code == "target.pattern_refused"
        with pytest.raises(TargetRefused) as refused:
            await target.grep("x", path="nowhere", glob="", limit=1)
        assert refused.value.code == "target.not_found"
        with pytest.raises(TargetRefused) as refused:
            await target.grep("x", path="/etc", glob="", limit=1)
        assert refused.value.code == "target.path_refused"
        with pytest.raises(TargetRefused) as refused:
            await target.glob("../*", limit=1)
        assert refused.value.code == "target.path_refused"

    async def test_a_box_is_made_once_per_id_and_removed_for_good(self, host: Host, spec: BoxSpec) -> None:
        box = box_id()
        place = await host.create(spec, box)
        assert await host.create(spec, box) == place
        assert (box, place.container_id) in await host.boxes()
        target = await host.attach(place)
        execution = execution_id()
        await target.start(execution, Command(argv=("sleep", "600")))
        following = asyncio.ensure_future(heard(target, execution))
        await host.remove(place)
        await host.remove(place)
        with pytest.raises(TargetLost):
            await following
        with pytest.raises(TargetLost):
            await target.read("x", limit=1)
        with pytest.raises(TargetLost):
            await host.attach(place)
        assert place.container_id not in [container for _, container in await host.boxes()]

    async def test_another_attachment_sees_the_same_box(self, host: Host, spec: BoxSpec) -> None:
        place = await host.create(spec, box_id())
        first = await host.attach(place)
        await first.write("file", b"x")
        await first.close()
        second = await host.attach(place)
        assert await second.read("file", limit=10) == b"x"
        await host.remove(place)
