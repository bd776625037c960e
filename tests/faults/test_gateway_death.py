"""The gateway dies again and again while runs are begun and watched: nothing is missed or begun twice."""

import asyncio
import random
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import func, select

from protocol.ids import RunId
from records import tables
from tests.flow.gateway.gateway_process import GatewayProcess
from tests.flow.gateway.house import plain_client
from tests.invariants import assert_standing_invariants
from tests.processes import until
from tests.stack import Stack
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.faults, pytest.mark.slow, pytest.mark.timeout(900)]

KILLS, LANES, WATCHERS, SEED = 50, 20, 10, 6
BACK_S = 10.0
"""Room for a busy machine; `bench recover` measures how soon a client is back."""
MAY_LACK = LANES * WATCHERS * 5 // 100

SCRIPT = """
[[scenarios]]
delta_chars = 8
[[scenarios.turns]]
text = "it was the best of times it was the worst of times it was the age of wisdom it was the age of light"
delta_delay_ms = 400
"""


async def test_two_hundred_live_streams_live_through_fifty_deaths_of_the_gateway(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    over = asyncio.Event()
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as stack:
        await stack.start_worker()
        engine = {
            "RHONE_TEMPORAL_ADDRESS": temporal_server.address,
            "RHONE_TEMPORAL_NAMESPACE": stack.namespace,
        }
        gateway = GatewayProcess(tmp_path / "data", **engine)
        await gateway.listens()

        async def lane(number: int) -> None:
            """One run after the other, each begun once and followed by many."""
            turn = 0
            while not over.is_set():
                run = await _begun(gateway, f"lane-{number}-{turn}")
                stack.runs.append(run)
                seen = await asyncio.gather(*(gateway.follow(run) for _ in range(WATCHERS)))
                told = await stack.events(run)
                assert seen == [told] * WATCHERS
                turn += 1

        lanes = [asyncio.create_task(lane(number)) for number in range(LANES)]
        for _ in range(KILLS):
            await asyncio.sleep(chance.uniform(0, 0.5))
            await gateway.kill_and_restart()
            await until(lambda: gateway.away <= MAY_LACK, 5 * BACK_S, "the clients do not come back")
        over.set()
        await asyncio.gather(*lanes)
        gateway.process.kill()
        late = sorted(gateway.absent)
        assert len(late) >= KILLS * LANES * WATCHERS // 2
        assert late[len(late) * 95 // 100] <= BACK_S, late[-10:]
        made = await stack.read(lambda connection: connection.scalar(select(func.count(tables.runs.c.id))))
        assert made == len(set(stack.runs)) == len(stack.runs), "a start that was repeated made a second run"
        await assert_standing_invariants(stack, stack.runs)


async def test_of_a_hundred_starts_with_one_key_at_two_gateways_one_is_made(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    async with Stack(data, temporal_server, cache, SCRIPT) as stack:
        await stack.start_worker()
        shared = {
            "RHONE_TEMPORAL_ADDRESS": temporal_server.address,
            "RHONE_TEMPORAL_NAMESPACE": stack.namespace,
            "RHONE_DATABASE_URL": stack.database.url,
            "RHONE_HINTS_DIR": str(data / "hints"),
            "RHONE_CONFIG": str(data / "rhone.toml"),
        }
        gateways = [GatewayProcess(tmp_path / name, **shared) for name in ("one", "two")]
        for gateway in gateways:
            await gateway.listens()
        async with plain_client(gateways[0].address) as one, plain_client(gateways[1].address) as two:

            async def start(client: httpx2.AsyncClient, text: str, key: str) -> httpx2.Response:
                body = {"input": text, "model": "m"}
                return await client.post("/v1/runs", json=body, headers={"Idempotency-Key": key})

            answers = await asyncio.gather(*(start((one, two)[n % 2], "x", "k") for n in range(100)))
            made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
            refused = {answer.json()["error"]["code"] for answer in answers if answer.status_code != 201}
            assert len(made) == 1
            assert refused <= {"idempotency.in_progress"}
            other_body = await start(two, "y", "k")
            assert (other_body.status_code, other_body.json()["error"]["code"]) == (
                409,
                "idempotency.conflict",
            )
            other_key = await start(two, "x", "l")
            assert other_key.status_code == 201
            stack.runs += [RunId(run) for run in (*made, other_key.json()["id"])]
        for gateway in gateways:
            gateway.process.kill()
        count = await stack.read(lambda connection: connection.scalar(select(func.count(tables.runs.c.id))))
        assert count == len(set(stack.runs)) == 2
        for run in stack.runs:
            assert (await stack.ended(run))[-1]["type"] == "run.completed"
        await assert_standing_invariants(stack, stack.runs)


async def _begun(gateway: GatewayProcess, key: str) -> RunId:
    """Asked for under one key until it is acknowledged, as a caller does whose gateway dies."""
    while True:
        try:
            async with plain_client(gateway.address) as client:
                body = {"input": key, "model": "m"}
                answer = await client.post("/v1/runs", json=body, headers={"Idempotency-Key": key})
        except httpx2.TransportError:
            await asyncio.sleep(0.05)
            continue
        if answer.status_code == 201:
            return RunId(answer.json()["id"])
        assert answer.status_code in (409, 503), answer.text
        await asyncio.sleep(0.1)
