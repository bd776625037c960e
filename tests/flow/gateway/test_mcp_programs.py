"""Programs as MCP servers over the API: shown whole, approved by an administrator; and what they ask."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from capabilities.elicitation import subject_of
from protocol.checkpoint import Checkpoint
from protocol.ids import CheckpointId, fresh
from protocol.mcp import ELICITATION, Question
from records import checkpoints, runs
from records.tx import Tx
from tests.flow.gateway.house import House, error_of, house

CONFIG = """
[mcp_servers.web]
url = "http://127.0.0.1:1/mcp"
private_network = true

[mcp_servers.files.stdio]
command = ["mcp-server-filesystem", "/workspace"]
env = { MODE = "plain" }
secrets = { TOKEN = { kind = "env", name = "FILES_TOKEN" } }
"""
FILES = "/v1/mcp-servers/files"
SHOWN = ("[0] mcp-server-filesystem", "[1] /workspace", "MODE = plain", "TOKEN, the secret env:FILES_TOKEN")
FIELDS: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    "required": ["name"],
}


@pytest.fixture
async def home(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path / "data", config=CONFIG) as made:
        yield made


async def test_a_program_is_shown_whole_and_approved_by_the_digest_of_what_was_shown(home: House) -> None:
    shown = (await home.client.get(FILES)).json()
    assert [word for word in SHOWN if word not in shown["words"]] == []
    assert (shown["transport"], shown["approved_by"]) == ("stdio", None)
    other = await home.client.post(f"{FILES}:approve", json={"launch_digest": "sha256:0"})
    assert error_of(other) == (409, "mcp.launch_changed", "launch_digest")
    body = {"launch_digest": shown["launch_digest"], "expires_in_s": 3600}
    made = await home.client.post(f"{FILES}:approve", json=body)
    assert made.status_code == 201, made.text
    assert made.json()["argv"] == ["mcp-server-filesystem", "/workspace"]
    assert made.json()["words"].startswith(shown["words"])
    assert (await home.client.get("/v1/grants")).json()["items"] == [made.json()]
    assert (await home.client.get(FILES)).json()["approved_by"] == made.json()["made_by"]
    await home.client.delete(f"/v1/grants/{made.json()['id']}")
    assert (await home.client.get(FILES)).json()["approved_by"] is None


async def test_only_an_administrator_approves_and_only_a_program(home: House) -> None:
    body = {"launch_digest": (await home.client.get(FILES)).json()["launch_digest"]}
    async with home.holding(await home.key("decide", "read", "run")) as person:
        refused = await person.post(f"{FILES}:approve", json=body)
        assert error_of(refused)[:2] == (403, "auth.scope_missing")
    web = await home.client.post("/v1/mcp-servers/web:approve", json=body)
    assert error_of(web)[:2] == (400, "mcp.no_program")


async def question_of(home: House) -> Checkpoint:
    run_id = await home.start()

    def unit(tx: Tx) -> Checkpoint | None:
        record = runs.load(tx.connection, run_id)
        assert record is not None
        new = checkpoints.NewCheckpoint(
            id=CheckpointId(fresh("ckpt_")),
            tenant=record.tenant,
            run_id=run_id,
            session_id=record.run.session_id,
            kind="question",
            arguments=subject_of("files", "ask", Question(message="Who?", fields=FIELDS)),
            rendered="Who?",
            rule=ELICITATION,
            requested_by=record.principal_id,
            expires_in_ms=60_000,
        )
        return checkpoints.open_checkpoint(tx, new)

    opened = await home.commit(unit, run_id)
    assert opened is not None
    return opened


async def test_an_answer_to_a_server_fits_what_it_asked_for(home: House) -> None:
    question = await question_of(home)
    decide = f"/v1/checkpoints/{question.id}:decide"
    for answer, param in (
        ("Ada", "answer"),
        ({"age": 1}, "answer.name"),
        ({"name": "Ada", "age": "old"}, "answer.age"),
        ({"name": "Ada", "password": "x"}, "answer.password"),
    ):
        refused = await home.client.post(decide, json={"decision": "answer", "answer": answer})
        assert error_of(refused) == (400, "checkpoint.answer_invalid", param)
    good = {"decision": "answer", "answer": {"name": "Ada", "age": 36}}
    done = await home.client.post(decide, json=good)
    assert (done.status_code, done.json()["status"]) == (200, "answered")
