"""The process itself: it stands without an engine, says goodbye, and is found again after it was killed."""

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest

from protocol.event import ResponseDelta
from protocol.ids import CallId, RunId, SessionId, fresh
from protocol.run import Limits, RunRequest
from protocol.session import SessionRequest
from records import principals, run_end, runs, sessions
from records.bus import bus_for
from records.database import Database
from records.tx import Tx
from records.writer import Writer
from tests.flow.gateway.gateway_process import GatewayProcess
from tests.flow.gateway.house import completed, frames_of, plain_client, text_draft
from tests.processes import until

SSE = {"Accept": "text/event-stream"}


class Hand:
    """A worker's hand in the gateway's records."""

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    async def run(self) -> RunId:
        run_id = RunId(fresh("run_"))

        def unit(tx: Tx) -> None:
            tenant, admin = principals.bootstrap(tx)
            made = sessions.create(tx, tenant, SessionId(fresh("sess_")), SessionRequest())
            new = runs.NewRun(
                id=run_id,
                tenant=tenant,
                principal_id=admin.id,
                session_id=made.session.id,
                request=RunRequest(input="x", model="smart"),
                model="smart",
                limits=Limits(),
                blocks=(text_draft("x"),),
            )
            runs.create(tx, new)

        await self._writer.commit(unit)
        return run_id

    async def say(self, run_id: RunId, text: str) -> None:
        delta = ResponseDelta(call_id=CallId("call_1"), attempt=1, block=0, delta=text)
        await self._writer.commit(lambda tx: tx.append(run_id, delta), runs=[run_id])

    async def end(self, run_id: RunId) -> None:
        await self._writer.commit(lambda tx: run_end.end(tx, run_id, completed()), runs=[run_id])


@pytest.fixture
async def gateway(tmp_path: Path) -> AsyncGenerator[GatewayProcess]:
    made = GatewayProcess(tmp_path / "data")
    await made.listens()
    yield made
    made.process.kill()


@pytest.fixture
async def hand(gateway: GatewayProcess, tmp_path: Path) -> AsyncGenerator[Hand]:
    folder = tmp_path / "data"
    database = Database.open(f"sqlite:///{folder / 'rhone.db'}", folder / "blobs")
    await asyncio.to_thread(database.migrate)
    bus = bus_for(database.url, folder / "hints")
    await bus.start()
    writer = Writer(database, bus)
    yield Hand(database, writer)
    await asyncio.to_thread(writer.close)
    await bus.close()
    database.close()


@pytest.mark.slow
async def test_it_stands_without_an_engine_and_says_goodbye(gateway: GatewayProcess, hand: Hand) -> None:
    run_id = await hand.run()
    async with plain_client(gateway.address) as client:
        await _until_missing(client, ["temporal"])
        refused = await client.post("/v1/runs", json={"input": "x", "model": "smart"})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "engine.unavailable")
        async with client.stream("GET", f"/v1/runs/{run_id}/events", headers=SSE) as answer:
            chunks = answer.aiter_text()
            seen = await anext(chunks)
            await hand.say(run_id, "one")
            async with asyncio.timeout(60):
                while '"delta":"one"' not in seen:
                    seen += await anext(chunks)
                stopping = asyncio.create_task(gateway.process.stop())
                seen += "".join([text async for text in chunks])
        await stopping
    assert [seq for seq, _, _ in frames_of(seen)] == [1, 2]
    assert gateway.lines[-1]["event"] == "stopped"
    assert all({"event", "level", "timestamp", "process"} <= set(line) for line in gateway.lines)
    asked = [line for line in gateway.lines if line["event"] == "request"]
    assert all(str(line["request_id"]).startswith("req_") for line in asked)


async def _until_missing(client: httpx2.AsyncClient, parts: list[str]) -> None:
    async with asyncio.timeout(60):
        while True:
            ready = await client.get("/readyz")
            if list(ready.json()["missing"]) == parts:
                assert ready.status_code == 503
                return
            await asyncio.sleep(0.05)


@pytest.mark.faults
async def test_clients_of_a_killed_gateway_hold_the_same_list(gateway: GatewayProcess, hand: Hand) -> None:
    ids = [await hand.run() for _ in range(10)]
    clients = [asyncio.create_task(gateway.follow(run_id)) for run_id in ids for _ in range(4)]
    talking = True

    async def talk(run_id: RunId) -> int:
        said = 0
        while talking:
            await hand.say(run_id, str(said))
            said += 1
            await asyncio.sleep(0.02)
        await hand.end(run_id)
        return said

    talks = [asyncio.create_task(talk(run_id)) for run_id in ids]
    for _ in range(5):
        await asyncio.sleep(0.3)
        await gateway.kill_and_restart()
    talking = False
    said = dict(zip(ids, await asyncio.gather(*talks), strict=True))
    async with asyncio.timeout(60):
        lists = await asyncio.gather(*clients)
    for number, events in enumerate(lists):
        run_id = ids[number // 4]
        assert [event["seq"] for event in events] == list(range(1, said[run_id] + 3))
        assert json.dumps(events) == json.dumps(lists[number // 4 * 4])
    await until(lambda: all(client.done() for client in clients), 60, "clients")
