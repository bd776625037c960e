"""One key, one mutation: however often and at once it is asked for, and whoever asks."""

import asyncio
from collections import Counter
from typing import Any

from protocol.ids import RunId
from records import runs
from tests.flow.gateway.house import House, error_of, frames_of

ASKED: dict[str, Any] = {"input": "fix it", "model": "smart"}


def key(text: str = "k-1") -> dict[str, str]:
    return {"Idempotency-Key": text}


async def test_a_hundred_starts_at_once_make_one_run(home: House) -> None:
    async def start() -> Any:
        return await home.client.post("/v1/runs", json=ASKED, headers=key())

    answers = await asyncio.gather(*(start() for _ in range(100)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) <= {201, 409}
    made = {answer.json()["id"] for answer in answers if answer.status_code == 201}
    assert len(made) == 1
    for answer in answers:
        if answer.status_code == 409:
            assert error_of(answer)[1] == "idempotency.in_progress"
    fresh = [one for one in answers if one.status_code == 201 and "idempotency-replayed" not in one.headers]
    assert len(fresh) == 1
    assert [run["id"] for run in (await home.client.get("/v1/runs")).json()["items"]] == list(made)
    assert home.engine.started == list(made)
    replay = await start()
    assert (replay.status_code, replay.headers["idempotency-replayed"]) == (201, "true")
    assert replay.json()["id"] in made


async def test_another_body_under_the_same_key_is_a_conflict(home: House) -> None:
    first = await home.client.post("/v1/runs", json=ASKED, headers=key())
    other = await home.client.post("/v1/runs", json={**ASKED, "input": "other"}, headers=key())
    assert error_of(other) == (409, "idempotency.conflict", "Idempotency-Key")
    spaced = b'{ "model":"smart",  "input":"fix it" }'
    same = await home.client.post(
        "/v1/runs", content=spaced, headers={**key(), "Content-Type": "application/json"}
    )
    assert same.json()["id"] == first.json()["id"]


async def test_the_same_body_under_another_key_is_another_run(home: House) -> None:
    one = await home.client.post("/v1/runs", json=ASKED, headers=key("k-1"))
    two = await home.client.post("/v1/runs", json=ASKED, headers=key("k-2"))
    none = [await home.client.post("/v1/runs", json=ASKED) for _ in range(2)]
    assert len({answer.json()["id"] for answer in (one, two, *none)}) == 4


async def test_a_key_belongs_to_its_principal_and_its_route(home: House) -> None:
    mine = await home.client.post("/v1/runs", json=ASKED, headers=key())
    async with home.holding(await home.key()) as other:
        theirs = await other.post("/v1/runs", json=ASKED, headers=key())
    assert theirs.json()["id"] != mine.json()["id"]
    session = await home.client.post("/v1/sessions", json={}, headers=key())
    assert session.status_code == 201
    first, second = RunId(mine.json()["id"]), RunId(theirs.json()["id"])
    for run_id in (first, second):
        cancelled = await home.client.post(f"/v1/runs/{run_id}:cancel", json={}, headers=key("stop"))
        assert cancelled.status_code == 200
        assert "idempotency-replayed" not in cancelled.headers


async def test_while_the_first_is_on_its_way_the_second_is_told_so(home: House) -> None:
    home.engine.go_on.clear()
    first = asyncio.create_task(home.client.post("/v1/runs", json=ASKED, headers=key()))
    async with asyncio.timeout(60):
        while not (await home.client.get("/v1/runs")).json()["items"]:
            await asyncio.sleep(0.005)
    for path in ("/v1/runs", "/v1/runs"):
        second = await home.client.post(path, json=ASKED, headers=key())
        assert error_of(second) == (409, "idempotency.in_progress", "Idempotency-Key")
    home.engine.go_on.set()
    run_id = (await first).json()["id"]
    third = await home.client.post("/v1/runs", json=ASKED, headers=key())
    assert (third.json()["id"], third.headers["idempotency-replayed"]) == (run_id, "true")


async def test_what_failed_on_our_side_is_never_kept(home: House) -> None:
    home.engine.away = True
    first = await home.client.post("/v1/runs", json=ASKED, headers=key())
    assert error_of(first)[:2] == (503, "engine.unavailable")
    home.engine.away = False
    second = await home.client.post("/v1/runs", json=ASKED, headers=key())
    assert second.status_code == 201
    assert "idempotency-replayed" not in second.headers
    assert home.engine.started == [second.json()["id"]]


async def test_what_was_refused_leaves_the_key_as_good_as_new(home: House) -> None:
    session = (await home.client.post("/v1/sessions", json={})).json()["id"]
    await home.client.post(f"/v1/sessions/{session}:pause")
    within = {**ASKED, "session_id": session}
    refused = await home.client.post("/v1/runs", json=within, headers=key())
    assert error_of(refused)[:2] == (409, "session.paused")
    await home.client.post(f"/v1/sessions/{session}:resume")
    made = await home.client.post("/v1/runs", json=within, headers=key())
    assert made.status_code == 201
    assert "idempotency-replayed" not in made.headers


async def test_the_key_is_looked_up_before_any_other_conflict(home: House) -> None:
    """A repeated start is answered with its run, not with "the session is busy"."""
    session = (await home.client.post("/v1/sessions", json={})).json()["id"]
    within = {**ASKED, "session_id": session}
    first = await home.client.post("/v1/runs", json=within, headers=key())
    again = await home.client.post("/v1/runs", json=within, headers=key())
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    busy = await home.client.post("/v1/runs", json=within, headers=key("k-2"))
    assert error_of(busy)[:2] == (409, "session.busy")


async def test_a_replay_shows_the_run_as_it_is_now(home: House) -> None:
    first = await home.client.post("/v1/runs", json=ASKED, headers=key())
    run_id = RunId(first.json()["id"])
    await home.commit(lambda tx: runs.claim(tx, run_id), run_id)
    await home.end(run_id, text="done")
    again = await home.client.post("/v1/runs", json=ASKED, headers=key())
    assert (again.status_code, again.json()["status"]) == (201, "completed")


async def test_a_stream_is_replayed_from_its_first_event(home: House) -> None:
    async def whole() -> Any:
        return await home.client.post("/v1/runs:stream", json=ASKED, headers=key())

    first = asyncio.create_task(whole())
    async with asyncio.timeout(60):
        while not home.engine.started:
            await asyncio.sleep(0.005)
    [run_id] = home.engine.started
    await home.commit(lambda tx: runs.claim(tx, run_id), run_id)
    await home.end(run_id)
    told = frames_of((await first).text)
    again = await whole()
    assert again.headers["idempotency-replayed"] == "true"
    assert frames_of(again.text) == told
    assert [seq for seq, _, _ in told] == [1, 2, 3]


async def test_a_secret_is_shown_once(home: House) -> None:
    principal = (await home.client.post("/v1/principals", json={"name": "ci", "kind": "service"})).json()
    asked = {"principal_id": principal["id"], "scopes": ["read"]}
    first = await home.client.post("/v1/keys", json=asked, headers=key())
    again = await home.client.post("/v1/keys", json=asked, headers=key())
    assert first.json()["secret"].startswith("rhone_sk_")
    assert first.json()["id"] == again.json()["id"]
    assert again.status_code == 201
    assert "secret" not in again.json() or again.json()["secret"] is None
    project = await home.client.post("/v1/projects", json={"name": "two"}, headers=key("p"))
    assert project.json()["key"]["secret"].startswith("rhone_sk_")
    replayed = await home.client.post("/v1/projects", json={"name": "two"}, headers=key("p"))
    assert replayed.json().get("key") is None


async def test_a_key_that_is_none_is_refused(home: House) -> None:
    for text in ("", "x" * 256, "\u00e4", "a b"):
        answer = await home.client.post("/v1/runs", json=ASKED, headers={"Idempotency-Key": text.encode()})
        assert error_of(answer) == (400, "idempotency.key_invalid", "Idempotency-Key")
