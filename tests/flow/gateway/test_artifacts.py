"""What a run kept, over the API and on the command line: to be saved, never to be run by a browser."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from protocol.artifact import Artifact, NewArtifact
from protocol.ids import RunId, ToolExecutionId, fresh
from protocol.principal import Tenant
from records import artifacts, runs, tool_executions
from records.tx import Tx
from tests.flow.gateway.house import House, error_of

PAGE = b"<script>alert(1)</script>"


async def keep(home: House, run_id: RunId, name: str, data: bytes) -> Artifact:
    """As a worker does it."""
    digest = home.gateway.database.blobs.put(data)

    def unit(tx: Tx) -> Artifact:
        record = runs.load(tx.connection, run_id)
        assert record is not None
        execution = ToolExecutionId(fresh("tool_"))
        asked = tool_executions.NewToolExecution(
            id=execution,
            run_id=run_id,
            session_id=record.run.session_id,
            step=1,
            ordinal=0,
            tool_call_id=execution,
            tool="save_artifact",
            source="target",
            effect="idempotent_write",
            arguments={"path": name},
        )
        tool_executions.request(tx, asked)
        new = NewArtifact(
            tool_execution_id=execution,
            name=name,
            path=f"out/{name}",
            media_type="text/html",
            size=len(data),
            digest=digest,
        )
        return artifacts.save(tx, run_id, record.run.session_id, new)

    return await home.commit(unit, run_id)


async def test_what_a_run_kept_is_listed_and_fetched(home: House) -> None:
    run_id = await home.start()
    path = f"/v1/runs/{run_id}/artifacts"
    assert (await home.client.get(path)).json() == {"items": [], "next_cursor": None}
    kept = [await keep(home, run_id, "Übersicht \r\n.html", PAGE), await keep(home, run_id, "b", b"")]
    listed = (await home.client.get(path)).json()["items"]
    assert listed == [json.loads(one.model_dump_json()) for one in kept]
    assert (await home.client.get(path, params={"limit": 1})).json()["next_cursor"] == kept[0].id
    answer = await home.client.get(f"{path}/{kept[0].id}/content")
    assert (answer.status_code, answer.content) == (200, PAGE)
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox"
    named = "attachment; filename*=UTF-8''%C3%9Cbersicht%20%0D%0A.html"
    assert answer.headers["content-disposition"] == named


async def test_what_is_not_the_runs_or_not_the_callers_does_not_exist(home: House) -> None:
    run_id, other = await home.start(), await home.start()
    kept = await keep(home, run_id, "a", b"a")
    missing = await home.client.get(f"/v1/runs/{other}/artifacts/{kept.id}/content")
    assert error_of(missing)[:2] == (404, "artifact.not_found")
    elsewhere = Tenant.model_validate({"org_id": "org_x", "project_id": "proj_x"})
    async with home.holding(await home.key(tenant=elsewhere)) as stranger:
        for path in ("artifacts", f"artifacts/{kept.id}/content"):
            assert error_of(await stranger.get(f"/v1/runs/{run_id}/{path}"))[:2] == (404, "run.not_found")


@pytest.mark.slow
async def test_the_command_line_lists_and_fetches_the_latest_of_a_name(home: House, tmp_path: Path) -> None:
    run_id = await home.start()
    await keep(home, run_id, "a.html", b"old")
    kept = await keep(home, run_id, "a.html", PAGE)
    token = home.client.headers["Authorization"].removeprefix("Bearer ")

    async def rhone(*words: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "cli.main", "artifacts", run_id, *words]
        environment = {
            "RHONE_URL": str(home.client.base_url),
            "RHONE_API_KEY": token,
            "PATH": "/usr/bin:/bin",
        }
        return await asyncio.to_thread(
            subprocess.run, argv, capture_output=True, text=True, env=environment, check=False
        )

    assert kept.id in (await rhone()).stdout
    assert len(json.loads((await rhone("--json")).stdout)) == 2
    out = tmp_path / "out.html"
    said = await rhone("--get", "a.html", "-o", str(out))
    assert (said.returncode, out.read_bytes()) == (0, PAGE), said.stderr
    assert (await rhone("--get", kept.id)).stdout == PAGE.decode()
    missing = await rhone("--get", "b")
    assert (missing.returncode, "no artifact 'b'" in missing.stderr) == (1, True)
    assert (await rhone("-o", "x")).returncode == 2
