"""Commands in a real box: whatever becomes of the worker, they run once and end whole."""

import asyncio
import hashlib
from pathlib import Path

import pytest

from protocol.errors import TargetRefused
from protocol.ids import ToolExecutionId, fresh
from protocol.target import BoxSpec, Command, Exit, Offsets, Output
from targets.agent import AgentTarget
from targets.docker import DockerHost
from tests.conformance.target_suite import box_id, eventually, execution_id, heard, ran

pytestmark = pytest.mark.docker

COUNT_TO_100 = "for i in $(seq 100); do echo $i; sleep 0.02; done"
EVERY_LINE = b"".join(b"%d\n" % i for i in range(1, 101))


def shell(script: str, **options: object) -> Command:
    return Command.model_validate({"argv": ("bash", "-c", script), **options})


async def alive(target: AgentTarget, marker: str) -> int:
    """How many processes of the box carry a word in their arguments, but for the one that looks."""
    hidden = f"{marker[0]}[{marker[1]}]{marker[2:]}"
    look = f"cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -o '{hidden}'"
    return len((await ran(target, "bash", "-c", look)).stdout.split())


async def test_the_output_goes_on_when_the_attached_exec_is_killed(target: AgentTarget) -> None:
    execution = execution_id()
    await target.start(execution, shell(COUNT_TO_100))
    said, killed = b"", 0
    async for piece in target.follow(execution, Offsets()):
        match piece:
            case Output(offset=offset, data=data):
                assert offset == len(said)
                said += data
            case Exit(exit_code=code):
                assert code == 0
        if len(said) > 50 * (killed + 1) and killed < 3:
            killed += 1
            await target.start(execution_id(), shell("pkill -KILL -f '^/rhone-agent attach'"))
    assert (said, killed) == (EVERY_LINE, 3)


async def test_a_new_worker_goes_on_where_the_old_one_was(
    agent: Path, spec: BoxSpec, host: DockerHost
) -> None:
    label = fresh("req_")
    execution, known = execution_id(), 0
    first = DockerHost(agent, pool_size=0, label=label)
    place = await first.create(spec, box_id())
    target = await first.attach(place)
    await target.start(execution, shell(COUNT_TO_100))
    async for piece in target.follow(execution, Offsets()):
        assert isinstance(piece, Output)
        known += len(piece.data)
        if known > 100:
            break
    await first.close()

    second = DockerHost(agent, pool_size=0, label=label)
    target = await second.attach(place)
    await target.start(execution, shell(COUNT_TO_100))
    assert (await heard(target, execution, Offsets(stdout=known))).stdout == EVERY_LINE[known:]
    assert (await heard(target, execution)).stdout == EVERY_LINE
    await second.remove(place)
    await second.close()


async def test_twenty_who_start_at_once_start_one(agent: Path, spec: BoxSpec, host: DockerHost) -> None:
    place = await host.create(spec, box_id())
    hosts = [DockerHost(agent, pool_size=0, label=fresh("req_")) for _ in range(3)]
    targets = [await one.attach(place) for one in [host, *hosts]]
    for _ in range(5):
        execution = execution_id()
        command = shell("echo started >> starts; sleep 0.1")
        await asyncio.gather(*(target.start(execution, command) for target in targets * 5))
        await asyncio.gather(*(heard(target, execution) for target in targets))
    assert await targets[0].read("starts", limit=1000) == b"started\n" * 5
    for one in hosts:
        await one.close()


ESCAPES = """
setsid sleep 4711.1 &
(setsid setsid sleep 4711.2 &) &
nohup env -i setsid sleep 4711.3 >/dev/null 2>&1 &
python3 - <<'END'
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.closerange(0, 20)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        os.execve("/bin/sleep", ["sleep", "4711.4"], {})
    os._exit(0)
END
sleep 4711.5
"""


async def test_a_kill_reaches_all_that_descends_from_a_command(target: AgentTarget) -> None:
    other, execution = execution_id(), execution_id()
    await target.start(other, shell("sleep 999.1 & setsid sleep 999.2 & sleep 999.3"))
    await target.start(execution, shell(ESCAPES))

    async def all_run() -> bool:
        return await alive(target, "4711.") >= 6 and await alive(target, "999.") >= 4

    await eventually(all_run)
    await target.kill(execution)
    assert await alive(target, "4711.") == 0
    assert await alive(target, "999.") >= 4, "another command lives on"
    assert (await heard(target, execution)).exit.killed
    await target.kill(other)
    assert await alive(target, "999.") == 0


async def test_a_time_limit_ends_all_of_it_with_no_worker_there(
    agent: Path, spec: BoxSpec, host: DockerHost
) -> None:
    first = DockerHost(agent, pool_size=0, label=fresh("req_"))
    place = await host.create(spec, box_id())
    target = await first.attach(place)
    execution = execution_id()
    await target.start(execution, shell(ESCAPES + "echo never", timeout_ms=700))
    await first.close()
    target = await host.attach(place)
    ended = (await heard(target, execution)).exit
    assert (ended.timed_out, ended.killed, ended.signal) == (True, False, 9)
    assert 700 <= ended.duration_ms < 5_000
    assert await alive(target, "4711.") == 0


async def test_what_a_command_leaves_behind_lives_on_until_it_is_killed(target: AgentTarget) -> None:
    execution = execution_id()
    await target.start(execution, shell("while sleep 0.01; do echo noise; done & sleep 4711 & echo started"))
    said = await heard(target, execution)
    assert said.exit.exit_code == 0
    assert said.exit.stdout_bytes == len(said.stdout)
    assert await alive(target, "4711") > 0
    assert await heard(target, execution) == said, "what is said after the exit is said to nobody"
    await target.kill(execution)
    assert await alive(target, "4711") == 0
    assert await heard(target, execution) == said


@pytest.mark.parametrize("size", [0, 1, 65_536, 1_048_576, 1_048_577, 50 * 1024 * 1024])
async def test_output_of_any_size_is_digested_whole_and_kept_up_to_the_cap(
    target: AgentTarget, size: int
) -> None:
    cap = 1_048_576
    said = await ran(
        target,
        "python3",
        "-c",
        f"import sys; sys.stdout.buffer.write(b'0123456789abcdef' * {size // 16} + b'x' * {size % 16})",
        output_cap=cap,
    )
    whole = b"0123456789abcdef" * (size // 16) + b"x" * (size % 16)
    assert said.stdout == whole[:cap]
    assert said.exit.stdout_bytes == size
    assert said.exit.stdout_digest == "sha256:" + hashlib.sha256(whole).hexdigest()


async def test_both_streams_are_told_apart_as_they_come(target: AgentTarget) -> None:
    execution = execution_id()
    await target.start(
        execution, shell("read -r line; echo out $line; echo err >&2; read -r x; sleep 600", stdin=b"in\n")
    )
    seen: dict[str, bytes] = {"stdout": b"", "stderr": b""}
    async for piece in target.follow(execution, Offsets()):
        assert isinstance(piece, Output)
        seen[piece.stream] += piece.data
        if all(seen.values()):
            break
    assert seen == {"stdout": b"out in\n", "stderr": b"err\n"}
    await target.kill(execution)


async def test_a_command_sees_only_the_image_and_what_it_was_given(target: AgentTarget) -> None:
    said = await ran(target, "env", env={"GIVEN": "yes", "PATH": "/bin"})
    seen = dict(line.split("=", 1) for line in said.stdout.decode().splitlines())
    del seen["RHONE_EXECUTION"]
    assert seen == {
        "GIVEN": "yes",
        "PATH": "/bin",
        "HOME": "/home/agent",
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


async def test_fifty_commands_run_at_once(target: AgentTarget) -> None:
    said = await asyncio.gather(
        *(ran(target, "bash", "-c", f"echo {i}; sleep 0.05; echo {i}") for i in range(50))
    )
    assert [one.stdout for one in said] == [b"%d\n%d\n" % (i, i) for i in range(50)]


async def test_an_execution_id_that_a_command_prepared_in_the_spool_is_ours_all_the_same(
    target: AgentTarget,
) -> None:
    execution = ToolExecutionId(fresh("tool_"))
    await ran(target, "bash", "-c", f"mkdir -p /spool/{execution} && echo '{{}}' > /spool/{execution}/exit")
    await target.start(execution, shell("echo mine"))
    assert (await heard(target, execution)).stdout == b"mine\n"


async def test_a_spool_that_was_cut_is_noticed(target: AgentTarget) -> None:
    execution = execution_id()
    await target.start(execution, shell("echo whole"))
    await heard(target, execution)
    await ran(target, "bash", "-c", f": > /spool/{execution}/stdout")
    with pytest.raises(Exception, match="kept output is gone"):
        await heard(target, execution)


CONNECT = """
import socket
s = socket.socket(socket.AF_UNIX)
s.settimeout(5)
s.connect("\\0rhone-agent")
try:
    s.sendall(b'\\0\\0\\0\\x1a\\0\\0\\0\\x16{"id":1,"op":"hello"}')
    print("answer", s.recv(100))
except OSError as fault:
    print("answer", b"")
"""


async def test_a_command_has_no_way_to_the_agent(target: AgentTarget) -> None:
    assert (await ran(target, "python3", "-c", CONNECT)).stdout == b"answer b''\n"
    signals = "for s in TERM INT HUP QUIT SEGV ABRT BUS FPE ILL PIPE STOP KILL USR1 CONT; do kill -$s 1; done"
    await ran(target, "bash", "-c", signals)
    assert (await ran(target, "echo", "there")).stdout == b"there\n"
    assert (await ran(target, "bash", "-c", "cat /proc/1/environ || ls /proc/1/fd")).exit.exit_code != 0


async def test_a_full_disk_is_told_and_the_box_goes_on(target: AgentTarget) -> None:
    await target.write("kept", b"before")
    filled = await ran(target, "dd", "if=/dev/zero", "of=/workspace/big", "bs=1M")
    assert b"No space left on device" in filled.stderr
    with pytest.raises(TargetRefused) as refused:
        await target.write("kept", b"x" * 100_000)
    assert refused.value.code == "target.disk_full"
    assert await target.read("kept", limit=100) == b"before", "a write that fails leaves the old file"
    assert (await ran(target, "rm", "big")).exit.exit_code == 0
    await target.write("kept", b"after")
    assert await target.glob("**", limit=10) == ("kept",)


async def test_a_full_spool_counts_what_it_cannot_keep(target: AgentTarget) -> None:
    await ran(target, "bash", "-c", "dd if=/dev/zero of=/spool/big bs=64k; true")
    said = await ran(target, "bash", "-c", "yes | head -c 1000000")
    assert said.exit.stdout_bytes == 1_000_000
    assert len(said.stdout) < 1_000_000
    assert said.exit.stdout_digest == "sha256:" + hashlib.sha256(b"y\n" * 500_000).hexdigest()
    await ran(target, "rm", "/spool/big")
    assert (await ran(target, "echo", "again")).stdout == b"again\n"


@pytest.mark.slow
async def test_an_attached_exec_that_is_stopped_is_replaced(target: AgentTarget) -> None:
    stopped = await ran(target, "bash", "-c", "echo x; pkill -STOP -f '^/rhone-agent attach'")
    assert stopped.stdout == b"x\n"
