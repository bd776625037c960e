"""A subrun with a workspace: a box of its own, with its parent's work tree as the last step left it."""

import pytest

from protocol.ids import RunId
from tests.invariants import assert_no_box_is_left_over
from tests.stack import Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

SCRIPT = """
[[scenarios]]
when = "^share"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "echo above > above.txt" } }]
[[scenarios.turns]]
[[scenarios.turns.tool_calls]]
name = "spawn"
arguments = { task = "look", workspace = true, capabilities = [{ kind = "tool", name = "bash" }] }
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "ls" } }]
[[scenarios.turns]]
text = "{last_result}"

[[scenarios]]
when = "^look"
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "cat above.txt; echo below > below.txt" } }]
[[scenarios.turns]]
text = "{last_result}"
"""


async def test_a_subrun_works_on_a_copy(stack: Stack) -> None:
    tools = [{"kind": "tool", "name": name} for name in ("bash", "spawn")]
    root = await stack.create("share", capabilities=tools, target={"kind": "workspace", "name": "dev"})
    told = await stack.ended(root, within=120)
    below = RunId(of_type(told, "subrun.started")[0]["child_run_id"])
    stack.runs.append(below)
    assert "above\n" in ((await stack.record(below)).run.output_text or "")
    listed = (await stack.record(root)).run.output_text or ""
    assert "above.txt" in listed
    assert "below.txt" not in listed
    await assert_no_box_is_left_over(stack)
