"""The supervisor, with real processes as children."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from cli.failure import Failure
from cli.home import Home
from cli.supervise.child import Child, Program
from cli.supervise.lock import MARK, end_leftovers, held
from cli.supervise.logs import Log
from cli.supervise.supervisor import NeverCameUp, Supervisor

PROGRAM = Path(__file__).with_name("supervisor_program.py")
NAMES = {"first", "second", "third"}
T = TypeVar("T")


def eventually(look: Callable[[], T | None], within: float = 60) -> T:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not come about in time")


class Started:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, root], stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        )

    def pids(self) -> dict[str, int]:
        return eventually(self._all_pids)

    def _all_pids(self) -> dict[str, int] | None:
        path = self.root / "pids.json"
        pids = json.loads(path.read_text()) if path.exists() else {}
        logs = [self.root / "logs" / f"{name}.log" for name in NAMES]
        up = pids.keys() == NAMES and all(is_alive(pid) for pid in pids.values())
        return pids if up and all(log.exists() and "is up" in log.read_text() for log in logs) else None

    def pid_other_than(self, name: str, old: int) -> int | None:
        pids = self._all_pids()
        return pids[name] if pids and pids[name] != old else None


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    made = Started(tmp_path)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.wait()


def test_children_are_ended_from_the_last_one_on(started: Started) -> None:
    pids = started.pids()
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(20) == 0
    assert (started.root / "ends").read_text().split() == ["third", "second", "first"]
    assert not any(is_alive(pid) for pid in pids.values())
    assert not (started.root / "pids.json").exists()


def test_a_child_that_dies_is_started_again_at_once_and_the_others_stay(started: Started) -> None:
    before = started.pids()
    os.kill(before["second"], signal.SIGKILL)
    new = eventually(lambda: started.pid_other_than("second", before["second"]))
    assert started.pids() == before | {"second": new}


def test_a_child_that_keeps_dying_is_started_again_more_slowly(started: Started) -> None:
    pid = started.pids()["second"]
    for _ in range(2):
        os.kill(pid, signal.SIGKILL)
        old = pid
        pid = eventually(lambda old=old: started.pid_other_than("second", old))
    started.process.send_signal(signal.SIGTERM)
    said, _ = started.process.communicate(timeout=20)
    told = [line.split("; ")[1] for line in said.splitlines() if line.startswith("second was killed")]
    assert told == ["started again", "again in 0.5 s"]


def test_children_end_with_a_supervisor_that_is_killed(started: Started) -> None:
    pids = started.pids()
    started.process.kill()
    eventually(lambda: None if any(is_alive(pid) for pid in pids.values()) else True)


async def test_what_a_dead_child_left_behind_is_ended_too(tmp_path: Path) -> None:
    script = f"sleep 300 & echo $! > {tmp_path}/other.new; mv {tmp_path}/other.new {tmp_path}/other; wait"
    log = Log(tmp_path / "log")
    child = Child(Program("shell", ("/bin/sh", "-c", script), {}), log)
    while not (tmp_path / "other").exists():
        await asyncio.sleep(0.01)
    child.tell(signal.SIGKILL)
    assert await child.end() == -signal.SIGKILL
    other = int((tmp_path / "other").read_text())
    eventually(lambda: None if is_alive(other) else True)


async def test_a_child_that_does_not_end_in_its_grace_is_killed(tmp_path: Path) -> None:
    log = Log(tmp_path / "log")
    child = Child(Program("deaf", ("/bin/sh", "-c", "trap '' TERM; echo up; sleep 300"), {}), log)
    while "up" not in log.path.read_text():
        await asyncio.sleep(0.01)
    assert await child.stop(0.05) == -signal.SIGKILL


async def test_a_program_that_never_starts_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    said: list[str] = []
    supervisor = Supervisor(home, said.append)
    supervisor.start([Program("broken", ("/bin/sh", "-c", "echo no such luck; exit 7"), {})])
    await asyncio.wait_for(supervisor.stopped(), 60)
    with pytest.raises(NeverCameUp, match=r"(?s)broken does not start.*no such luck"):
        await supervisor.drain()
    assert [line.split(";")[0] for line in said] == ["broken ended with code 7"] * 2


async def test_a_program_that_is_not_there_is_told_by_name(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.make()
    supervisor = Supervisor(home, print)
    supervisor.start([Program("absent", ("/no/such/program",), {})])
    await asyncio.wait_for(supervisor.stopped(), 60)
    with pytest.raises(NeverCameUp, match="absent cannot be started"):
        await supervisor.drain()


def test_the_second_to_come_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    home = Home(tmp_path)
    told = f"in use by process {os.getpid()}, which started at"
    with held(home), pytest.raises(Failure, match=told), held(home):
        pass
    with held(home):
        pass


def test_leftovers_of_a_dead_supervisor_are_waited_for_and_strangers_are_not(tmp_path: Path) -> None:
    home = Home(tmp_path)
    ours = subprocess.Popen(["/bin/sleep", "0.3"], env={MARK: str(tmp_path)})
    stranger = subprocess.Popen(["/bin/sleep", "300"], env={MARK: "/elsewhere"})
    try:
        home.pids.write_text(json.dumps({"temporal": ours.pid, "worker": stranger.pid}))
        reaper = threading.Thread(target=ours.wait)
        reaper.start()
        end_leftovers(home)
        assert not is_alive(ours.pid)
        assert is_alive(stranger.pid)
        assert not home.pids.exists()
        reaper.join()
    finally:
        stranger.kill()
        stranger.wait()


def test_a_log_that_grows_too_long_is_set_aside_at_the_end_of_a_line(tmp_path: Path) -> None:
    log = Log(tmp_path / "it.log", longest=10)
    for line in ("one\n", "two and ", "three\n", "four\n"):
        log.write(line.encode())
    log.close()
    assert (tmp_path / "it.log.1").read_text() == "one\ntwo and three\n"
    assert (tmp_path / "it.log").read_text() == "four\n"


def test_a_full_disk_takes_no_log_and_ends_nobody() -> None:
    log = Log(Path("/dev/full"))
    log.write(b"lost\n")
    log.close()
