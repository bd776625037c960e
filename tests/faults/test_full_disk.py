"""A full disk under the records of a stack: nothing is acknowledged that is not kept, then all goes on."""

import ctypes
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2
import pytest

from protocol.ids import RunId
from tests.flow.gateway.gateway_process import GatewayProcess
from tests.flow.gateway.house import plain_client
from tests.invariants import assert_standing_invariants
from tests.stack import Stack
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.faults, pytest.mark.slow]

RESUMES_S = 30.0
COUNT = [{"kind": "tool", "name": "count_non_idempotent_write", "approval": "ask"}]

SCRIPT = f"""
[[scenarios]]
when = "^talk"
delta_chars = 2000
[[scenarios.turns]]
text = "{"it was the best of times " * 4_000}"
delta_delay_ms = 100
[[scenarios]]
when = "^act"
[[scenarios.turns]]
tool_calls = [{{ name = "count_non_idempotent_write" }}]
[[scenarios.turns]]
text = "done"
[[scenarios]]
[[scenarios.turns]]
text = "done"
"""


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Path]:
    """A file system of its own, too small for what comes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    assert ctypes.CDLL(None).mount(b"none", bytes(folder), b"tmpfs", 0, b"size=24m") == 0, (
        "only root may mount"
    )
    yield folder
    ctypes.CDLL(None).umount2(bytes(folder), 2)


@contextmanager
def filled(folder: Path) -> Generator[None]:
    """While inside, nothing fits any more."""
    with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))
    yield
    (folder / "filler").unlink()


async def test_a_full_disk_refuses_what_it_cannot_keep_and_every_run_goes_on_when_there_is_room(
    temporal_server: TemporalServer, cache: Path, disk: Path
) -> None:
    async with Stack(disk / "data", temporal_server, cache, SCRIPT) as stack:
        await stack.start_worker()
        engine = {"RHONE_TEMPORAL_ADDRESS": temporal_server.address}
        gateway = GatewayProcess(disk / "data", **engine, RHONE_TEMPORAL_NAMESPACE=stack.namespace)
        await gateway.listens()
        asked = await stack.create("act", capabilities=COUNT)
        checkpoint = await stack.checkpoint(asked)
        await stack.waits_for(checkpoint)
        talking = [await stack.create("talk") for _ in range(4)]
        for run in talking:
            await stack.told(run, "response.delta")
        async with plain_client(gateway.address) as client:
            with filled(disk):
                refused = 0
                while refused < 5:
                    answer = await client.post("/v1/runs", json={"input": "x", "model": "m"})
                    if answer.status_code == 201:
                        stack.runs.append(RunId(answer.json()["id"]))
                        continue
                    assert (answer.status_code, _code(answer)) == (503, "storage.unavailable")
                    assert answer.headers["retry-after"] == "1"
                    refused += 1
                path = f"/v1/checkpoints/{checkpoint.id}:decide"
                verdict = {"decision": "approve", "envelope_digest": checkpoint.envelope_digest}
                decided = await client.post(path, json=verdict)
                assert decided.status_code in (200, 503), decided.text
                before = {run: await stack.events(run) for run in stack.runs}
                assert before[talking[0]][-1]["type"] not in ("run.completed", "run.failed")
                page = await client.get(f"/v1/runs/{talking[0]}/events")
                assert page.status_code == 200
            if decided.status_code == 503:
                decided = await client.post(path, json=verdict)
                assert decided.status_code == 200, decided.text
        for run in stack.runs:
            told = await stack.ended(run, within=RESUMES_S)
            assert told[-1]["type"] == "run.completed", told[-1]
            assert told[: len(before[run])] == before[run], "what was told is not told again or taken back"
        assert len(stack.counted(await stack.events(asked))) == 1
        assert not gateway.process.ended
        assert not stack.workers[0].ended
        gateway.process.kill()
        await assert_standing_invariants(stack, stack.runs)


def _code(answer: httpx2.Response) -> str:
    return answer.json()["error"]["code"]
