"""Text that databases and logs stumble over comes back whole, or is refused; it is never a fault of ours."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from tests.flow.gateway.house import DIGEST, House, house
from tests.postgres import Cluster

TEXTS = (
    "a\u0000b",
    "\u0000",
    "\u202eevil\u2066",
    "'; DROP TABLE runs; --",
    "\\u0000 \\x00 %00 \\",
    "\U0001f600" * 50,
    "\r\ndata: {}\r\nid: 9\r\n\r\n",
    "\u2028\u2029\u0085",
    "{{7*7}} ${7*7} <script>",
    "\ufeff\uffff\ufffe",
    "-1e999 NaN null true",
)


PARAMETERS = (
    *(("/v1/runs", name) for name in ("cursor", "status", "session_id", "limit")),
    *(("/v1/checkpoints", name) for name in ("cursor", "kind", "run_id")),
)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
async def hosted(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[House]:
    url: str | None = None
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("cluster")
        url = cluster.url(cluster.create())
    async with house(tmp_path / "data", database_url=url) as made:
        yield made


async def test_text_in_bodies_comes_back_whole(hosted: House) -> None:
    for text in TEXTS:
        body = {"instructions": text, "actor_id": text, "metadata": {text: text}}
        session = (await hosted.client.post("/v1/sessions", json=body)).json()
        assert {name: session[name] for name in body} == body
        asked = {"input": text, "model": "smart", "metadata": {"t": text}, "session_id": session["id"]}
        answer = await hosted.client.post("/v1/runs", json=asked)
        assert answer.status_code == 201, answer.text
        run_id = answer.json()["id"]
        assert answer.json()["metadata"] == {"t": text}
        head = (await hosted.client.get(f"/v1/sessions/{session['id']}/blocks")).json()
        assert head["blocks"][0]["content"][0]["text"] == text
        sent = await hosted.client.post(f"/v1/runs/{run_id}:send", json={"input": text})
        assert sent.status_code == 200
        page = (await hosted.client.get(f"/v1/runs/{run_id}/events")).json()
        assert page["items"][-1]["blocks"][0]["content"][0]["text"] == text
        cancelled = await hosted.client.post(f"/v1/runs/{run_id}:cancel", json={"reason": text})
        assert cancelled.status_code == 200
        principal = (await hosted.client.post("/v1/principals", json={"name": text})).json()
        assert principal["name"] == text


async def test_text_in_decisions_comes_back_whole(hosted: House) -> None:
    for text in TEXTS:
        checkpoint = await hosted.ask(await hosted.start())
        body = {"decision": "approve", "envelope_digest": DIGEST, "reason": text, "arguments": {text: text}}
        decided = await hosted.client.post(f"/v1/checkpoints/{checkpoint.id}:decide", json=body)
        assert decided.status_code == 200, decided.text
        [decision] = decided.json()["decisions"]
        assert (decision["reason"], decision["arguments"]) == (text, {text: text})


async def test_text_in_names_and_parameters_is_refused_or_not_found(hosted: House) -> None:
    for text in TEXTS:
        body: dict[str, Any] = {"external_session_id": text}
        assert (await hosted.client.post("/v1/sessions", json=body)).status_code == 400
        assert (await hosted.client.post("/v1/projects", json={"name": text})).status_code in (201, 400)
        for path, name in PARAMETERS:
            answer = await hosted.client.get(path, params={name: text})
            assert answer.status_code in (400, 404), (path, name, text)


async def test_a_run_tells_its_events_on_either_database(hosted: House) -> None:
    run_id = await hosted.start()
    await hosted.end(run_id)
    headers = {"Accept": "text/event-stream"}
    answer = await hosted.client.get(f"/v1/runs/{run_id}/events", headers=headers)
    assert answer.text.count("\nid: ") == 3
