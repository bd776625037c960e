"""No container engine: nothing runs on the host in its place, and the run says why it failed."""

from pathlib import Path

import pytest

from tests.invariants import assert_standing_invariants
from tests.processes import until
from tests.stack import Stack, docker, of_type
from tests.targets.relay import Relay
from tests.temporal_server import TemporalServer

pytestmark = pytest.mark.temporal

SCRIPT = """
[[scenarios]]
when = "^count until told"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = '''
i=0
until [ -e /tmp/enough ]; do i=$((i + 1)); echo "line $i" | tee -a ran.txt; sleep 0.1; done
''' } }]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "wc -l < ran.txt" } }]
[[scenarios.turns]]
text = "{last_result}"

[[scenarios]]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "touch {input}" } }]
[[scenarios.turns]]
text = "never"
"""


async def test_without_a_container_engine_a_run_with_a_workspace_fails_and_nothing_runs_on_the_host(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as stack:
        await stack.start_worker(RHONE_DOCKER_HOST=f"unix://{tmp_path}/no.sock")
        run = await stack.create(str(canary), target={"kind": "workspace", "name": "dev"})
        told = await stack.ended(run)
        assert (told[-1]["type"], told[-1]["error"]["code"]) == ("run.failed", "target.engine_away")
        assert of_type(told, "call.started") == []
        assert not canary.exists()
        await assert_standing_invariants(stack, [run])


async def test_a_target_whose_image_is_missing_fails_the_run_with_its_code(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    other = '[targets.other]\nkind = "workspace"\nimage = "rhone/no-such-image:1"\n'
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT, other=other) as stack:
        await stack.start_worker()
        run = await stack.create("x", target={"kind": "workspace", "name": "other"})
        told = await stack.ended(run)
        assert (told[-1]["type"], told[-1]["error"]["code"]) == ("run.failed", "target.image_missing")
        assert told[-1]["error"]["param"] == "image"


@pytest.mark.docker
async def test_a_command_goes_on_while_its_engine_is_away_and_is_told_whole_when_it_is_back(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    relay = await Relay.over(tmp_path / "engine.sock")
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as stack:
        worker = await stack.start_worker(RHONE_DOCKER_HOST=f"unix://{tmp_path}/engine.sock")
        run = await stack.create("count until told", target={"kind": "workspace", "name": "dev"})
        await stack.told(run, "tool_execution.output", 3)
        container = await stack.box(run)
        await relay.cut()
        lines = int(docker("exec", container, "sh", "-c", "wc -l < /workspace/ran.txt"))
        await until(lambda: "engine_away" in worker.log.read_text(), 60, "nobody notices that it is away")
        assert (await stack.record(run)).run.status == "running"
        await relay.mend()
        docker("exec", container, "touch", "/tmp/enough")
        told = await stack.ended(run)
        count = int(told[-1]["output_text"])
        assert count > lines
        output = "".join(event["delta"] for event in of_type(told, "tool_execution.output"))
        assert output == "".join(f"line {n}\n" for n in range(1, count + 1)) + f"{count}\n"
        assert [event["attempt"] for event in of_type(told, "tool_execution.started")] == [1, 1]
        assert of_type(told, "target.lost") == []
        await assert_standing_invariants(stack, [run])
