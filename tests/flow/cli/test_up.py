"""`rhone up`: it comes up, keeps what it started alive, and leaves nothing behind."""

import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flow.cli.conftest import Up
from tests.processes import until

pytestmark = [pytest.mark.temporal, pytest.mark.faults]


@pytest.fixture
def own(cache: Path, tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path, cache)
    yield made
    made.kill()


def is_gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists() or "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text()


def test_what_the_first_start_leaves_is_closed_to_others(up: Up) -> None:
    assert stat.S_IMODE(up.folder.stat().st_mode) == 0o700
    for name in ("admin.key", "pepper", "signing.key"):
        assert stat.S_IMODE((up.folder / name).stat().st_mode) == 0o600
    assert up.pids().keys() == {"temporal", "gateway", "worker"}


def test_a_second_one_on_the_same_directory_is_told_who_holds_it(up: Up) -> None:
    second = up.rhone("up", "--port", "0")
    assert second.returncode == 1
    assert f"in use by process {up.process.pid}" in second.stderr


def test_a_wrong_configuration_is_refused_with_its_line(up: Up, tmp_path: Path) -> None:
    (tmp_path / "rhone.toml").write_text("[targets.x]\nkind = 'workspace'\nimagee = 'y'\n")
    refused = up.rhone("up", "--data", str(tmp_path), "--config", str(tmp_path / "rhone.toml"))
    assert refused.returncode == 1
    assert "line 3: targets.x.imagee: unknown key" in refused.stderr


@pytest.mark.parametrize("name", ["gateway", "worker", "temporal"])
async def test_what_dies_is_started_again_and_the_run_goes_on(up: Up, name: str) -> None:
    run_id = up.say("run", "deploy", "--tool", "count_non_idempotent_write").strip()
    (checkpoint,) = (await up.when(run_id, "waiting"))["waiting_for"]["checkpoint_ids"]
    before = up.pids()
    os.kill(before[name], signal.SIGKILL)
    await until(lambda: up.pids().get(name, before[name]) != before[name], 60, f"no new {name}")
    await until(
        lambda: up.rhone("approve", checkpoint, "--yes").returncode == 0, 60, "the approval is not taken"
    )
    assert (await up.when(run_id, "completed"))["stop_reason"] == "end_turn"
    assert {other: pid for other, pid in up.pids().items() if other != name} == {
        other: pid for other, pid in before.items() if other != name
    }


async def test_its_children_die_with_it_and_the_next_one_goes_on(own: Up) -> None:
    run_id = own.say("run", "deploy", "--tool", "count_non_idempotent_write").strip()
    (checkpoint,) = (await own.when(run_id, "waiting"))["waiting_for"]["checkpoint_ids"]
    pids = own.pids()
    own.kill()
    await until(lambda: all(is_gone(pid) for pid in pids.values()), 60, "children are left")
    own.start()
    own.say("approve", checkpoint, "--yes")
    assert (await own.when(run_id, "completed"))["stop_reason"] == "end_turn"


def test_it_ends_in_order_and_leaves_no_process(own: Up) -> None:
    pids = own.pids()
    assert own.stop() == 0
    assert all(is_gone(pid) for pid in pids.values())
    assert not (own.folder / "pids.json").exists()
    assert own.rhone("runs").returncode == 3
