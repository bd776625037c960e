"""A run's receipt over HTTP: refused while it goes on, signed when it ended, verified without the gateway."""

import asyncio
import base64
import json
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from capabilities.catalogue import Catalogue
from capabilities.policy import Policy, shipped
from capabilities.receipts import Noted
from capabilities.resolve import ResolveRequest, resolve
from capabilities.signing import Signer, generate
from capabilities.snapshot import seal
from capabilities.verdict import Asker
from cli.receipts import decide
from cli.rhone_verify import read_keyring, verify
from gateway.receipts import keyring_of
from protocol.capability import ToolCapability
from protocol.config_text import parse_config
from protocol.ids import RunId, SnapshotId, fresh
from protocol.run import TargetChoice
from records import receipt_heads, runs, snapshots
from records.tx import Tx
from tests.flow.gateway.house import House, error_of
from worker.notary import Notary

POLICY = Policy.load([shipped()])


async def authorized(home: House, run_id: RunId, signer: Signer) -> None:
    """The run has its snapshot, and something was materialized under it."""
    noted = Noted(POLICY)
    request = ResolveRequest(
        run_id=run_id,
        principal=Asker(id="prin_admin"),
        capabilities=tuple(ToolCapability(kind="tool", name=name) for name in ("bash", "push")),
        target=TargetChoice(kind="workspace", name="dev"),
    )
    document = resolve(request, Catalogue(()), noted)

    def unit(tx: Tx) -> None:
        record = runs.load(tx.connection, run_id)
        assert record is not None
        snapshot = seal(document, SnapshotId(fresh("capsnap_")), tx.now, signer)
        snapshots.keep_policy(tx, POLICY.digest, POLICY.document().decode())
        snapshots.add(tx, record.tenant, snapshot, noted.asked)
        snapshots.add_evidence(tx, snapshot.id, "probe", {"ok": True, "share": 0.5, "none": None})
        runs.set_snapshot(tx, run_id, snapshot.id)

    await home.commit(unit, run_id)


async def test_a_receipt_is_refused_while_its_run_goes_on_and_holds_when_it_ended(home: House) -> None:
    signer = Signer(generate())
    notary = Notary(home.gateway.database, home.gateway.writer, signer)
    await notary.introduce()
    run_id = await home.start()
    await authorized(home, run_id, signer)
    path = f"/v1/runs/{run_id}/receipt"
    assert error_of(await home.client.get(path)) == (409, "run.not_ended", None)
    part = verify((await home.client.get(path, params={"partial": True})).content, decide=decide)
    assert part.ok, part.faults
    await home.end(run_id)
    assert error_of(await home.client.get(path))[:2] == (503, "run.receipt_unsigned")
    waiting = asyncio.create_task(home.client.get(path, params={"wait_s": 20}))
    assert await notary.sign() == 1
    assert await notary.sign() == 0
    assert (await waiting).status_code == 200
    keyring = read_keyring((await home.client.get("/v1/receipts/keys")).content)
    answer = await home.client.get(path)
    report = verify(answer.content, keyring=keyring, decide=decide)
    assert report.faults == []
    assert report.derived > 0


async def test_the_log_grows_and_an_old_head_is_proven_by_a_new_receipt(home: House) -> None:
    """RCP-10."""
    signer = Signer(generate())
    notary = Notary(home.gateway.database, home.gateway.writer, signer)
    ended: list[RunId] = []
    for _ in range(5):
        ended.append(await home.start())
        await home.end(ended[-1])
        await notary.sign()
    heads: list[Any] = (await home.client.get("/v1/receipts/heads")).json()["items"]
    assert [head["statement"]["size"] for head in heads] == [5, 4, 3, 2, 1]
    paged = await home.client.get("/v1/receipts/heads", params={"limit": 2, "cursor": "4"})
    assert [head["statement"]["size"] for head in paged.json()["items"]] == [3, 2]
    keyring = read_keyring((await home.client.get("/v1/receipts/keys")).content)
    for run_id in ended:
        get = partial(home.client.get, f"/v1/runs/{run_id}/receipt")
        for saved in heads:
            told = await get(params={"since": saved["statement"]["size"]})
            report = verify(told.content, keyring=keyring, saved=saved)
            assert report.faults == []


async def test_an_erased_payload_is_gone_for_good(home: House) -> None:
    """RCP-11."""
    signer = Signer(generate())
    notary = Notary(home.gateway.database, home.gateway.writer, signer)
    run_id = await home.start()
    await authorized(home, run_id, signer)
    await home.end(run_id)
    await notary.sign()
    path = f"/v1/runs/{run_id}/receipt"
    before = await home.client.get(path)
    assert b"prin_admin" in json.dumps(before.json()["payloads"]).encode()
    done = await home.client.post(f"{path}:erase", json={"ordinal": 1})
    assert (done.status_code, done.json()) == (200, {"ordinal": 1, "run_id": run_id})
    after = await home.client.get(path)
    assert after.json()["payloads"] == {"1": None}
    report = verify(after.content)
    assert report.ok
    assert "1 payloads have been erased" in report.notes
    missing = await home.client.post(f"{path}:erase", json={"ordinal": 2})
    assert error_of(missing) == (404, "run.receipt_payload_not_found", "ordinal")


@pytest.mark.parametrize("table", ["snapshots", "evidence", "policies", "receipts", "signing_keys"])
async def test_the_database_refuses_to_change_what_a_run_was_given(home: House, table: str) -> None:
    """RCP-06."""
    signer = Signer(generate())
    await Notary(home.gateway.database, home.gateway.writer, signer).introduce()
    await authorized(home, await home.start(), signer)
    column = {"policies": "text", "signing_keys": "public_key", "receipts": "hash"}.get(table, "digest")
    for statement in (f"UPDATE {table} SET {column} = 'x'", f"DELETE FROM {table}"):
        with home.gateway.database.engine.connect() as connection, pytest.raises(DBAPIError, match="never"):
            connection.execute(text(statement))


async def test_the_keyring_tells_former_keys_and_revocations(home: House) -> None:
    """RCP-09: what `[signing] former` says, beside the keys that signed here."""
    current, old = Signer(generate()), Signer(generate())
    await Notary(home.gateway.database, home.gateway.writer, current).introduce()
    public = base64.b64encode(old.public_key).decode()
    written = f'[signing]\nformer = [{{ public_key = "{public}", revoked_at = 2026-06-01T00:00:00Z }}]\n'
    config = parse_config(written)
    kept = await home.gateway.database.read(receipt_heads.keys)
    told = keyring_of(kept, config.signing.former)
    assert told["keys"] == {old.key_id: public, **kept}
    assert told["revoked"] == {old.key_id: "2026-06-01T00:00:00.000Z"}
    assert current.key_id in kept
