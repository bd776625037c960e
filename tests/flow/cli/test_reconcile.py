"""`rhone reconcile` finds what is broken, each kind of it, on a stack that was broken by hand."""

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from temporalio.client import Client

from protocol.ids import fresh
from targets.images import default_tag
from tests.flow.cli.conftest import Up
from tests.processes import until

pytestmark = [pytest.mark.temporal, pytest.mark.faults]


@pytest.fixture(scope="module")
def broken(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    # The worker's own reaper would mend what is broken here.
    made = Up(tmp_path_factory.mktemp("broken"), cache, RHONE_REAP_SECONDS="3600")
    yield made
    made.stop()


def break_it(up: Up, statement: str, *values: object) -> None:
    with sqlite3.connect(up.folder / "rhone.db", timeout=10) as connection:
        connection.execute(statement, values)


def found(up: Up) -> set[tuple[str, str]]:
    done = up.rhone("reconcile", "--patience", "1", "--json")
    told = json.loads(done.stdout)
    assert (done.returncode, told["ok"]) == ((1, False) if told["findings"] else (0, True))
    assert {one["check"] for one in told["findings"]} == {
        one["check"] for one in told["checks"] if not one["holds"]
    }
    return {(one["check"], one["subject"]) for one in told["findings"]}


def ended_run(up: Up) -> str:
    run_id = up.say("run", "x").strip()
    up.say("watch", run_id)
    return run_id


async def waiting_run(up: Up) -> str:
    run_id = up.say("run", "deploy", "--tool", "count_non_idempotent_write").strip()
    await up.when(run_id, "waiting")
    return run_id


async def temporal(up: Up) -> Client:
    port = json.loads((up.folder / "place.json").read_text())["temporal_port"]
    return await Client.connect(f"127.0.0.1:{port}")


async def test_a_stack_that_was_left_alone_is_sound(broken: Up) -> None:
    ended_run(broken)
    await waiting_run(broken)
    assert found(broken) == set()


def test_a_gap_in_the_events(broken: Up) -> None:
    run_id = ended_run(broken)
    break_it(broken, "DELETE FROM events WHERE run_id = ? AND seq = 2", run_id)
    assert ("events", run_id) in found(broken)


def test_a_second_terminal_event(broken: Up) -> None:
    run_id = ended_run(broken)
    break_it(broken, "UPDATE events SET type = 'run.failed' WHERE run_id = ? AND seq = 2", run_id)
    assert ("events", run_id) in found(broken)


async def test_a_claim_without_an_outcome(broken: Up) -> None:
    run_id = await waiting_run(broken)
    told = broken.json("show", run_id)
    broken.say("approve", told["checkpoints"][0]["id"], "--yes")
    await broken.when(run_id, "completed")
    execution = told["tool_executions"][0]["id"]
    break_it(broken, "UPDATE effects SET state = 'claimed' WHERE tool_execution_id = ?", execution)
    assert ("claims", execution) in found(broken)


async def test_a_run_that_waits_for_nothing_that_is_open(broken: Up) -> None:
    run_id = await waiting_run(broken)
    break_it(broken, "UPDATE checkpoints SET status = 'denied' WHERE run_id = ?", run_id)
    assert ("runs", run_id) in found(broken)


async def test_a_run_whose_story_nobody_tells(broken: Up) -> None:
    run_id = await waiting_run(broken)
    await (await temporal(broken)).get_workflow_handle(run_id).terminate()
    # a worker's sweeper buries such a run within half a minute; until then it is a break
    assert ("runs", run_id) in found(broken) or broken.status(run_id) == "failed"


async def test_a_story_whose_run_has_ended(broken: Up) -> None:
    run_id = await waiting_run(broken)
    break_it(broken, "UPDATE runs SET completed_at = created_at, status = 'failed' WHERE id = ?", run_id)
    assert ("runs", run_id) in found(broken)


@pytest.mark.docker
async def test_a_container_that_belongs_to_no_run(broken: Up) -> None:
    box = fresh("box_")
    label = f"rhone.installation={(broken.folder / 'installation').read_text().strip()}"
    argv = ["docker", "create", "--name", f"rhone-{box}", "--label", label, default_tag()]
    container = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        assert ("boxes", container[:12]) in found(broken)
    finally:
        subprocess.run(["docker", "rm", "-f", container], check=True, capture_output=True)


async def test_nobody_to_ask_ends_with_three(broken: Up) -> None:
    broken.stop()
    try:
        done = broken.rhone("reconcile", "--patience", "0")
        assert (done.returncode, "Temporal server is away" in done.stderr) == (3, True)
    finally:
        broken.start()
        await until(lambda: broken.rhone("runs").returncode == 0, 60, "it does not come back")
