"""No container engine: nothing runs on the host in its place, and the run says why it failed."""

from pathlib import Path

import pytest

from tests.invariants import assert_standing_invariants
from tests.stack import Stack, of_type
from tests.temporal_server import TemporalServer

pytestmark = pytest.mark.temporal

SCRIPT = """
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
