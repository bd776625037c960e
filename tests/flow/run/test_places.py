"""Rules about the run itself: asked when it is resolved, and again before each call of its model."""

from pathlib import Path

import pytest

from cli import rhone_verify
from cli.receipts import decide
from protocol.digest import canonical
from records import snapshots
from tests.flow.run.test_receipts import signed
from tests.stack import POLICY, Stack, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

RULES = """
@id("test.no-strangers") forbid (principal, action == Action::"spend", resource is Model)
when { context.labels.contains("untrusted") };
@id("test.no-m2") forbid (principal, action == Action::"spend", resource == Model::"local/m2");
@id("test.not-there") forbid (principal, action == Action::"place", resource == Target::"dev");
"""

TABLES = {"labels": '[labels]\ncount_read_only = ["untrusted"]\n'}

SCRIPT = """
[[scenarios]]
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }]
[[scenarios.turns]]
text = "never said"
"""
READ = [{"kind": "tool", "name": "count_read_only"}]


async def test_a_run_is_refused_a_model_and_a_place_by_name(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT, **TABLES) as stack:
        config = stack.data / "rhone.toml"
        config.write_text(config.read_text().replace('models = ["m"]', 'models = ["m", "m2"]'))
        (stack.data / "policy.cedar").write_text(POLICY + RULES)
        await stack.start_worker()
        await refused_at_once(stack, "spend", "test.no-m2", model="m2")
        await refused_at_once(stack, "place", "test.not-there", target={"kind": "workspace", "name": "dev"})
        await refused_later(stack)


async def refused_at_once(stack: Stack, kind: str, rule: str, **fields: object) -> None:
    run = await stack.create("go", **fields)
    [failed] = of_type(await stack.ended(run), "run.failed")
    assert (failed["error"]["type"], failed["error"]["code"]) == ("permission_error", "policy.denied")
    assert repr(rule) in failed["error"]["message"]
    record = await stack.record(run)
    snapshot_id = record.run.capability_snapshot_id
    assert snapshot_id is not None
    snapshot = await stack.read(lambda c: snapshots.load(c, snapshot_id))
    assert snapshot is not None
    [denial] = [one for one in snapshot.document.denials if one.kind in ("place", "spend")]
    assert (denial.kind, denial.rule) == (kind, rule)
    report = rhone_verify.verify(canonical(await signed(stack, run)), decide=decide)
    assert report.faults == []


async def refused_later(stack: Stack) -> None:
    """What the model has read by now counts: the second call is not made, and the receipt says why."""
    run = await stack.create("read it", capabilities=READ)
    told = await stack.ended(run)
    [failed] = of_type(told, "run.failed")
    assert (failed["error"]["code"], "test.no-strangers" in failed["error"]["message"]) == (
        "policy.denied",
        True,
    )
    assert len(stack.counted(told)) == 1
    bundle = await signed(stack, run)
    [gate] = [one["body"] for one in bundle["records"] if one["body"].get("rule") == "test.no-strangers"]
    assert (gate["answer"], gate["tool"]) == ("deny", "spend:local/m")
    report = rhone_verify.verify(canonical(bundle), decide=decide)
    assert report.faults == []
