"""A candidate policy that decides beside the one in force: nothing changes, and differences are kept."""

from pathlib import Path

import pytest

from records import shadow
from tests.stack import POLICY, Stack
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

CANDIDATE = """
@id("test.no-notes")
forbid (principal, action, resource is Tool)
when { context has arguments && context.arguments has note && context.arguments.note == "seen" };
@id("test.no-idempotent")
forbid (principal, action, resource == Tool::"count_idempotent_write");
"""

SCRIPT = """
[[scenarios]]
[[scenarios.turns]]
tool_calls = [{ name = "count_non_idempotent_write", arguments = { note = "seen" } }]
[[scenarios.turns]]
text = "done"
"""


async def test_what_a_candidate_would_deny_happens_and_is_noted(
    temporal_server: TemporalServer, cache: Path, tmp_path: Path
) -> None:
    async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT) as stack:
        config = stack.data / "rhone.toml"
        config.write_text(config.read_text().replace("[policies]", '[policies]\nshadow = ["next.cedar"]'))
        (stack.data / "next.cedar").write_text(POLICY + CANDIDATE)
        await stack.start_worker()
        names = ("count_non_idempotent_write", "count_idempotent_write")
        run = await stack.create("go", capabilities=[{"kind": "tool", "name": name} for name in names])
        told = await stack.ended(run)
        assert len(stack.counted(told)) == 1
        found = await stack.read(lambda c: shadow.differences(c, {"run_id": run}, 10))
        assert {(one.tool, bool(one.execution), one.would_answer, one.would_rule) for one in found} == {
            ("count_non_idempotent_write", True, "deny", "test.no-notes"),
            ("count_idempotent_write", False, "deny", "test.no-idempotent"),
        }
        assert {one.answer for one in found} == {"allow"}
