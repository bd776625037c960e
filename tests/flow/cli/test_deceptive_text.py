"""APR-03: what a person reads before they approve, over the API and on a terminal, with its digest."""

import asyncio
import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

from capabilities.render import render
from protocol.checkpoint import Checkpoint, Envelope
from protocol.digest import canonical, digest
from protocol.ids import CheckpointId, RunId, SnapshotId, ToolExecutionId, fresh
from records import checkpoints, runs
from records.tx import Tx
from tests.flow.gateway.house import House, house
from tests.unit.capabilities.test_render import PAYLOADS


async def ask(home: House, run_id: RunId, payload: str) -> Checkpoint:
    envelope = Envelope(
        run_id=run_id,
        snapshot_id=SnapshotId("capsnap_1"),
        policy_digest="sha256:5",
        tool="bash",
        definition_digest="sha256:6",
        tool_execution_id=ToolExecutionId(fresh("tool_")),
        arguments={"command": payload, payload[:500]: 1},
        target="dev",
        cwd="/workspace",
        environment=(payload[:500],),
        files={},
    )

    def unit(tx: Tx) -> Checkpoint | None:
        record = runs.load(tx.connection, run_id)
        assert record is not None
        new = checkpoints.NewCheckpoint(
            id=CheckpointId(fresh("ckpt_")),
            tenant=record.tenant,
            run_id=run_id,
            session_id=record.run.session_id,
            kind="approval",
            tool=payload[:500],
            arguments=envelope.arguments,
            envelope=envelope,
            envelope_digest=digest(envelope),
            rendered=render(canonical(envelope)),
            requested_by=record.principal_id,
            expires_in_ms=600_000,
        )
        return checkpoints.open_checkpoint(tx, new)

    made = await home.commit(unit, run_id)
    assert made is not None
    return made


@pytest.mark.slow
async def test_deceptive_payloads_are_shown_whole_and_approved_as_shown(tmp_path: Path) -> None:
    assert len(PAYLOADS) >= 40
    async with house(tmp_path / "data") as home:
        run_id = await home.start()
        asked = [await ask(home, run_id, payload) for payload in PAYLOADS.values()]
        token = await home.key("decide", "read")
        for checkpoint in asked:
            shown = (await home.client.get(f"/v1/checkpoints/{checkpoint.id}")).json()
            assert shown["rendered"] == checkpoint.rendered
            assert shown["envelope_digest"] == digest(shown["envelope"])
            assert f"\nDigest: {shown['envelope_digest']}\n" in shown["rendered"]
        listed = await rhone(home, token, "checkpoints", "--limit", "200")
        said = await rhone(home, token, "approve", *(one.id for one in asked), "--yes")
        for name, checkpoint in zip(PAYLOADS, asked, strict=True):
            assert checkpoint.rendered in said, name
            assert f"{checkpoint.id} is approved" in said
        assert hidden(said) == hidden(listed) == set()
        found = await home.gateway.database.read(lambda c: checkpoints.by_ids(c, [one.id for one in asked]))
        assert {(one.status, one.decisions[0].envelope_digest) for one in found} == {
            ("approved", one.envelope_digest) for one in asked
        }


def hidden(shown: str) -> set[str]:
    return {char for char in set(shown) - {"\n", " "} if unicodedata.category(char)[0] not in "LMNPS"}


async def rhone(home: House, token: str, *arguments: str) -> str:
    environment = os.environ | {"RHONE_URL": str(home.client.base_url), "RHONE_API_KEY": token}
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "cli.main", *arguments],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
