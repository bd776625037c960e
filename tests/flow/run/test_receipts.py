"""RCP-03, a real run's receipt: written by the worker that acted, verified by a process without a network."""

import asyncio
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli import rhone_verify
from cli.receipts import decide
from gateway.receipts import ReceiptQuery, bundle_of
from protocol.digest import canonical
from protocol.ids import RunId
from records import receipt_heads, runs
from tests.stack import Stack

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

SCRIPT = """
[[scenarios]]
[[scenarios.turns]]
tool_calls = [
  { name = "count_idempotent_write", arguments = { note = "plain" } },
  { name = "count_non_idempotent_write", arguments = { note = "risky" } },
  { name = "count_idempotent_write", arguments = { note = "forbidden" } },
]
[[scenarios.turns]]
text = "done"
"""
TOOLS = [
    {"kind": "tool", "name": "count_idempotent_write"},
    {"kind": "tool", "name": "count_non_idempotent_write"},
]
VERIFIER = Path(rhone_verify.__file__)


async def ended(stack: Stack) -> RunId:
    """A run in which one call is allowed, one approved and one denied."""
    run_id = await stack.create("three acts", capabilities=TOOLS)
    checkpoint = await stack.checkpoint(run_id)
    await stack.decide(checkpoint, "approve")
    await stack.ended(run_id)
    return run_id


async def signed(stack: Stack, run_id: RunId) -> dict[str, Any]:
    """The run's bundle, once the worker's notary has signed it."""
    async with asyncio.timeout(60):
        while await stack.database.read(lambda c: receipt_heads.run_head(c, run_id)) is None:
            await asyncio.sleep(0.05)
    record = await stack.database.read(lambda c: runs.load(c, run_id))
    assert record is not None
    query = ReceiptQuery()
    return await stack.database.read(lambda c: bundle_of(c, record.run, record.tenant.project_id, query))


async def test_a_real_run_is_proven_to_the_last_verdict(stack: Stack) -> None:
    told = await signed(stack, await ended(stack))
    report = rhone_verify.verify(canonical(told), decide=decide)
    assert report.faults == []
    gates = [record["body"]["answer"] for record in told["records"] if record["kind"] == "gate"]
    assert sorted(gates) == ["allow", "ask", "deny"]
    assert report.derived == 6
    kinds = [record["kind"] for record in told["records"]]
    assert (kinds[0], kinds[-1]) == ("snapshot", "end")
    assert (kinds.count("claim"), kinds.count("outcome"), kinds.count("decision")) == (2, 2, 1)


async def test_it_is_verified_where_there_is_no_network(stack: Stack, tmp_path: Path) -> None:
    """RCP-03: one file, one bundle and the keys, in a network namespace that has nothing."""
    told = await signed(stack, await ended(stack))
    (tmp_path / "receipt.json").write_bytes(canonical(told))
    (tmp_path / "keys.json").write_text(json.dumps({"keys": told["keys"]}))
    shutil.copy(VERIFIER, tmp_path / "verifier.py")
    argv = ["unshare", "-rn", sys.executable, "verifier.py", "receipt.json", "--key", "keys.json"]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].startswith(f"holds: {len(told['records'])} records")
