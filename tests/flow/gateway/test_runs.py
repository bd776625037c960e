"""Runs over HTTP: begun once the engine has them, answered at once, at their end or as a stream."""

import asyncio

from protocol.event import ResponseDelta, RunWaiting
from protocol.ids import CallId, CheckpointId, RunId, is_id
from records import runs
from tests.flow.gateway.house import House, error_of, frames_of

ASKED = {"input": "fix it", "model": "smart", "metadata": {"ticket": "42"}}


async def test_a_run_is_answered_at_once_and_is_queued(home: House) -> None:
    answer = await home.client.post("/v1/runs", json=ASKED)
    run = answer.json()
    assert answer.status_code == 201
    assert is_id("run_", run["id"])
    assert is_id("sess_", run["session_id"])
    assert (run["status"], run["model"], run["metadata"]) == ("queued", "smart", {"ticket": "42"})
    assert run["cost_usd"] is None
    assert home.engine.started == [run["id"]]
    record = await home.gateway.database.read(lambda c: runs.load(c, run["id"]))
    assert record is not None
    assert not record.starting
    assert (await home.client.get(f"/v1/runs/{run['id']}")).json() == run


async def test_a_run_whose_engine_is_away_is_not_acknowledged(home: House) -> None:
    home.engine.away = True
    answer = await home.client.post("/v1/runs", json=ASKED)
    assert error_of(answer) == (503, "engine.unavailable", None)
    assert answer.headers["retry-after"] == "1"
    [run] = (await home.client.get("/v1/runs")).json()["items"]
    assert (run["status"], run["error"]["code"]) == ("failed", "engine.unavailable")
    home.engine.away = False
    again = await home.client.post("/v1/runs", json={**ASKED, "session_id": run["session_id"]})
    assert again.status_code == 201


async def test_a_start_that_was_claimed_before_its_answer_was_lost_is_acknowledged(home: House) -> None:
    async def claim_and_hang_up(run_id: RunId) -> None:
        await home.commit(lambda tx: runs.claim(tx, run_id), run_id)
        home.engine.away = True

    home.engine.while_starting = claim_and_hang_up
    answer = await home.client.post("/v1/runs", json=ASKED)
    assert answer.status_code == 201
    run = (await home.client.get(f"/v1/runs/{answer.json()['id']}")).json()
    assert run["status"] == "running"


async def test_a_session_has_one_open_run(home: House) -> None:
    first = (await home.client.post("/v1/runs", json=ASKED)).json()
    within = {**ASKED, "session_id": first["session_id"]}
    second = await home.client.post("/v1/runs", json=within)
    assert error_of(second) == (409, "session.busy", "session_id")
    assert second.json()["error"]["details"] == {"run_id": first["id"]}
    stateless = await home.client.post("/v1/runs", json={**within, "context": "stateless"})
    assert stateless.status_code == 201


async def test_a_paused_session_takes_no_runs(home: House) -> None:
    session = (await home.client.post("/v1/sessions", json={"external_session_id": "user:7/chat"})).json()
    paused = await home.client.post("/v1/sessions/user:7/chat:pause")
    assert paused.json()["status"] == "paused"
    refused = await home.client.post("/v1/runs", json={**ASKED, "session_id": "user:7/chat"})
    assert error_of(refused) == (409, "session.paused", "session_id")
    assert (await home.client.post(f"/v1/sessions/{session['id']}:resume")).json()["status"] == "active"
    assert (
        await home.client.post("/v1/runs", json={**ASKED, "session_id": "user:7/chat"})
    ).status_code == 201


async def test_a_branch_is_chosen_when_the_run_is_made(home: House) -> None:
    repo = {"remote": "forge/demo", "base": "main"}
    target = {"kind": "workspace", "name": "dev", "repo": repo}
    run = (await home.client.post("/v1/runs", json={**ASKED, "target": target})).json()
    assert run["target"]["repo"]["branch"] == f"rhone/{run['id'].removeprefix('run_')}"


async def test_waiting_for_a_run_ends_with_the_run(home: House) -> None:
    asked = asyncio.create_task(home.client.post("/v1/runs", json={**ASKED, "mode": "wait"}))
    run_id = await _started(home)
    await home.commit(lambda tx: runs.claim(tx, run_id), run_id)
    await home.end(run_id, text="all good")
    answer = await asked
    assert answer.status_code == 201
    assert (answer.json()["status"], answer.json()["output_text"]) == ("completed", "all good")


async def test_waiting_for_a_run_ends_when_it_waits_for_somebody(home: House) -> None:
    asked = asyncio.create_task(home.client.post("/v1/runs", json={**ASKED, "mode": "wait"}))
    run_id = await _started(home)
    await home.commit(lambda tx: runs.claim(tx, run_id), run_id)
    checkpoint = await home.ask(run_id)
    answer = await asked
    assert answer.json()["status"] == "waiting"
    assert answer.json()["waiting_for"] == {"checkpoint_ids": [checkpoint.id]}


async def test_a_run_can_be_answered_as_its_stream(home: House) -> None:
    async with home.client.stream("POST", "/v1/runs:stream", json=ASKED) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        run_id = await _started(home)
        await home.commit(lambda tx: runs.claim(tx, run_id), run_id)
        delta = ResponseDelta(call_id=CallId("call_1"), attempt=1, block=0, delta="hé")
        await home.append(run_id, delta, RunWaiting(checkpoint_ids=(CheckpointId("ckpt_1"),)))
        await home.end(run_id)
        text = (await answer.aread()).decode()
    assert text.startswith("retry: 1000\n\n")
    told = frames_of(text)
    assert [seq for seq, _, _ in told] == list(range(1, len(told) + 1))
    kinds = ["run.created", "run.started", "response.delta", "run.waiting", "run.completed"]
    assert [kind for _, kind, _ in told] == kinds
    assert told[2][2]["delta"] == "hé"
    assert all({"type", "seq", "run_id", "session_id", "at"} <= set(event) for _, _, event in told)


async def test_lists_come_in_pages(home: House) -> None:
    made = [(await home.client.post("/v1/runs", json=ASKED)).json()["id"] for _ in range(5)]
    first = (await home.client.get("/v1/runs", params={"limit": 2})).json()
    assert [run["id"] for run in first["items"]] == [made[4], made[3]]
    rest = await home.client.get("/v1/runs", params={"limit": 200, "cursor": first["next_cursor"]})
    assert [run["id"] for run in rest.json()["items"]] == [made[2], made[1], made[0]]
    assert rest.json()["next_cursor"] is None
    oldest = await home.client.get("/v1/runs", params={"order": "asc", "limit": 1, "status": "queued"})
    assert [run["id"] for run in oldest.json()["items"]] == [made[0]]
    none = await home.client.get("/v1/runs", params={"status": "completed"})
    assert none.json() == {"items": [], "next_cursor": None}


async def _started(home: House) -> RunId:
    async with asyncio.timeout(60):
        while not home.engine.started:
            await asyncio.sleep(0.005)
    return home.engine.started[-1]
