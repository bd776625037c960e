"""APR-10: a hundred acts wait for a person when everything dies: each is decided once, and happens once."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest
from httpx2 import AsyncClient

from protocol.ids import RunId
from tests.flow.gateway.gateway_process import GatewayProcess
from tests.flow.gateway.house import plain_client
from tests.invariants import assert_standing_invariants
from tests.stack import Stack, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]

PENDING = 100
RESUMED_P95_S = 2.0
ONE_SHOT = [{"kind": "tool", "name": "count_non_idempotent_write", "approval": "ask"}]

SCRIPT = """
[[scenarios]]
[[scenarios.turns]]
tool_calls = [{ name = "count_non_idempotent_write" }]
[[scenarios.turns]]
text = "done"
"""


async def test_a_hundred_pending_approvals_live_through_the_death_of_everything(
    cache: Path, tmp_path: Path
) -> None:
    server = TemporalServer(tmp_path / "engine", cache)
    async with Stack(tmp_path / "data", server, cache, SCRIPT) as stack:
        worker = await stack.start_worker()
        engine = {"RHONE_TEMPORAL_ADDRESS": server.address, "RHONE_TEMPORAL_NAMESPACE": stack.namespace}
        gateway = GatewayProcess(tmp_path / "data", **engine)
        await gateway.listens()
        async with plain_client(gateway.address) as client:
            for _ in range(PENDING):
                body = {"input": "go", "model": "m", "capabilities": ONE_SHOT}
                made = await client.post("/v1/runs", json=body)
                stack.runs.append(RunId(made.json()["id"]))
        before = [await stack.checkpoint(run, within=120) for run in stack.runs]
        for run in stack.runs:
            await stack.waits(run)

        worker.kill()
        gateway.process.kill()
        server.kill()
        server.restart()
        await server.client()
        await gateway.kill_and_restart()
        await stack.start_worker()

        async with plain_client(gateway.address) as client:
            page = (await client.get("/v1/checkpoints", params={"status": "open", "limit": 200})).json()
            assert {one["id"] for one in page["items"]} == {one.id for one in before}
            took = [await _decided(stack, client, one["id"], one["run_id"]) for one in page["items"]]
        for run in stack.runs:
            told = await stack.ended(run)
            assert told[-1]["type"] == "run.completed"
            seen = Counter(event["type"] for event in told)
            assert (seen["checkpoint.opened"], seen["checkpoint.decided"], seen["checkpoint.redeemed"]) == (
                (1, 1, 1)
            )
            assert len(stack.counted(told)) == 1
            assert [event["decision"] for event in of_type(told, "checkpoint.decided")] == ["approve"]
        gateway.process.kill()
        p95 = sorted(took)[PENDING * 95 // 100]
        assert p95 <= RESUMED_P95_S, f"from the decision to the act: {p95:.2f} s at the 95th percentile"
        await assert_standing_invariants(stack, stack.runs)
    server.kill()


async def _decided(stack: Stack, client: AsyncClient, checkpoint_id: str, run: str) -> float:
    """Seconds from the decision, which is sent twice, to the act that it lets happen."""
    shown = (await client.get(f"/v1/checkpoints/{checkpoint_id}")).json()
    body = {"decision": "approve", "envelope_digest": shown["envelope_digest"]}
    began = time.monotonic()
    path = f"/v1/checkpoints/{checkpoint_id}:decide"
    answers = await asyncio.gather(*(client.post(path, json=body) for _ in range(2)))
    assert [answer.status_code for answer in answers] == [200, 200]
    await stack.told(RunId(run), "tool_execution.started")
    return time.monotonic() - began
