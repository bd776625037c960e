"""What every request meets: an id, a version, a place, one error shape; and what the process says."""

import asyncio
from pathlib import Path
from typing import Any

from protocol.ids import is_id
from tests.flow.gateway.house import House, error_of, house

RUN = {"input": "x", "model": "smart"}


async def test_a_request_id_is_echoed_or_made(home: House) -> None:
    echoed = await home.client.get("/v1/runs", headers={"X-Request-ID": "trace-1:a.b"})
    assert echoed.headers["x-request-id"] == "trace-1:a.b"
    for hostile in ("a b", "x" * 129, "\u00e4", "<script>", ""):
        made = await home.client.get("/v1/runs", headers={"X-Request-ID": hostile.encode()})
        assert is_id("req_", made.headers["x-request-id"])
    missing = await home.client.get("/nowhere", headers={"X-Request-ID": "mine"})
    assert missing.json()["error"]["request_id"] == "mine"


async def test_another_version_is_refused(home: House) -> None:
    assert (await home.client.get("/v1/runs", headers={"Rhone-Version": "1"})).status_code == 200
    answer = await home.client.get("/v1/runs", headers={"Rhone-Version": "2"})
    assert error_of(answer) == (400, "request.unsupported_version", "Rhone-Version")


async def test_what_is_not_there_is_told_in_the_one_shape(home: House) -> None:
    assert error_of(await home.client.get("/nowhere"))[:2] == (404, "request.unknown_route")
    assert error_of(await home.client.get("/v1/run%73x"))[:2] == (404, "request.unknown_route")
    assert error_of(await home.client.get("/v1/runs/"))[0] == 404
    answer = await home.client.delete("/v1/runs")
    assert error_of(answer)[:2] == (405, "request.method_not_allowed")
    for name in ("x", "run_x", "%00", "run_01m7z49h8gekkkvqm40akpv3q3", "..%2f", "' OR 1=1", "\u202e"):
        assert error_of(await home.client.get(f"/v1/runs/{name}"))[0] == 404


async def test_our_own_fault_tells_nothing_of_itself(home: House) -> None:
    async def breaks(run_id: object) -> None:
        raise LookupError("the secret reason")

    home.engine.while_starting = breaks
    answer = await home.client.post("/v1/runs", json=RUN)
    assert error_of(answer) == (500, "engine.internal", None)
    assert answer.json()["error"]["type"] == "api_error"
    assert "secret" not in answer.text


async def test_without_its_database_a_gateway_stands_and_acknowledges_nothing(tmp_path: Path) -> None:
    url = "postgresql+psycopg://rhone@127.0.0.1:1/rhone"
    async with house(tmp_path / "data", database_url=url, away=True) as home:
        async with home.holding("rhone_sk_" + "0" * 26 + "_" + "a" * 43) as client:
            for answer in (await client.get("/v1/runs"), await client.post("/v1/runs", json=RUN)):
                assert error_of(answer)[:2] == (503, "storage.unavailable")
                assert answer.headers["retry-after"] == "1"
        ready = await home.client.get("/readyz")
        assert (ready.status_code, sorted(ready.json()["missing"])) == (503, ["database", "migrations"])
        assert (await home.client.get("/healthz")).status_code == 200


async def test_more_requests_than_fit_are_told_to_come_back(tmp_path: Path) -> None:
    async with house(tmp_path / "data", config="\n[limits]\nrequests_in_flight = 2\n") as home:
        home.engine.go_on.clear()
        held = [asyncio.create_task(home.client.post("/v1/runs", json=RUN)) for _ in range(2)]
        await _until(lambda: home.engine.waiting == 2)
        full = await home.client.get("/v1/runs")
        assert error_of(full)[:2] == (429, "quota.requests_in_flight")
        assert full.headers["retry-after"] == "1"
        assert (await home.client.get("/healthz")).status_code == 200
        home.engine.go_on.set()
        assert [(await one).status_code for one in held] == [201, 201]
        assert (await home.client.get("/v1/runs")).status_code == 200


async def test_more_streams_than_fit_are_told_to_come_back(tmp_path: Path) -> None:
    config = "\n[limits]\nstreams = 1\nrequests_in_flight = 2\n"
    async with house(tmp_path / "data", config=config) as home:
        run_id = await home.start()
        path, sse = f"/v1/runs/{run_id}/events", {"Accept": "text/event-stream"}
        async with home.client.stream("GET", path, headers=sse):
            await _until(lambda: home.gateway.feed.watchers(run_id) == 1)
            for answer in (
                await home.client.get(path, headers=sse),
                await home.client.post("/v1/runs:stream", json=RUN),
                await home.client.post("/v1/runs", json={**RUN, "mode": "wait"}),
            ):
                assert error_of(answer)[:2] == (429, "quota.streams")
            assert len((await home.client.get("/v1/runs")).json()["items"]) == 1
            assert (await home.client.get(path)).status_code == 200


async def test_open_runs_are_limited(tmp_path: Path) -> None:
    async with house(tmp_path / "data", config="\n[limits]\nopen_runs = 2\n") as home:
        for _ in range(2):
            assert (await home.client.post("/v1/runs", json=RUN)).status_code == 201
        answer = await home.client.post("/v1/runs", json=RUN)
        assert error_of(answer)[:2] == (429, "quota.open_runs")
        assert answer.headers["retry-after"] == "5"


async def test_the_process_says_what_is_not_ready(home: House) -> None:
    ready = await home.client.get("/readyz")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready", "missing": {}})
    home.engine.away = True
    missing = await home.client.get("/readyz")
    assert (missing.status_code, list(missing.json()["missing"])) == (503, ["temporal"])
    assert (await home.client.get("/healthz")).json()["status"] == "ok"


async def test_requests_streams_and_runs_are_counted(home: House) -> None:
    run_id = await home.start()
    await home.end(run_id)
    await home.client.get(f"/v1/runs/{run_id}/events", headers={"Accept": "text/event-stream"})
    await home.client.get("/nowhere")
    text = (await home.client.get("/metrics")).text
    for line in (
        'rhone_gateway_requests_total{method="POST",route="/v1/runs",status="201"} 1.0',
        'rhone_gateway_requests_total{method="GET",route="unrouted",status="404"} 1.0',
        "rhone_gateway_runs_created_total 1.0",
        "rhone_gateway_events_sent_total 3.0",
        "rhone_gateway_streams_open 0.0",
        'rhone_gateway_request_seconds_count{method="POST",route="/v1/runs"} 1.0',
    ):
        assert line in text.splitlines(), line
    assert run_id not in text


async def test_the_document_names_every_body_and_answer(home: House) -> None:
    document = (await home.client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    for name in _references(document):
        assert name in schemas, name
    create = document["paths"]["/v1/runs"]["post"]
    body = create["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/RunRequest"}
    assert set(schemas["RunRequest"]["properties"]) >= {"input", "model", "capabilities", "limits", "target"}
    answered = create["responses"]["201"]["content"]["application/json"]["schema"]
    assert answered == {"$ref": "#/components/schemas/Run"}
    events = document["paths"]["/v1/runs/{run_id}/events"]["get"]["responses"]["200"]["content"]
    assert events["text/event-stream"]["schema"] == {"$ref": "#/components/schemas/Event"}
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            assert "422" not in operation["responses"], path
            if path.startswith("/v1/") and method == "post" and "requestBody" not in operation:
                assert path.endswith((":pause", ":resume", ":revoke", ":disconnect")), path
    assert (await home.client.get("/docs")).status_code == 200


def _references(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"].rpartition("/")[2]} if isinstance(value.get("$ref"), str) else set[str]()
        return own.union(*(_references(item) for item in value.values()))
    if isinstance(value, list):
        return set[str]().union(*(_references(item) for item in value))
    return set()


async def _until(true: Any) -> None:
    async with asyncio.timeout(60):
        while not true():
            await asyncio.sleep(0.005)
