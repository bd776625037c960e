"""A run that waits long gives its box back, and finds its work again in the next one."""

import pytest

from records import boxes
from tests.processes import until
from tests.stack import Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

DEV = {"kind": "workspace", "name": "dev"}
ASKING = [
    {"kind": "tool", "name": "bash"},
    {"kind": "tool", "name": "write_file", "approval": "ask"},
    {"kind": "tool", "name": "count_non_idempotent_write", "approval": "ask"},
]

TABLES = {"workspaces": "[workspaces]\npool_size = 0\nidle_release_s = 1\n"}

SCRIPT = """
[[scenarios]]
when = "^ask for a file"
[[scenarios.turns]]
tool_calls = [
  { name = "bash", arguments = { command = "echo x >> early.txt; echo made" } },
  { name = "write_file", arguments = { path = "late.txt", content = "late" } },
]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "cat early.txt late.txt" } }]
[[scenarios.turns]]
text = "{last_result}"

[[scenarios]]
when = "^ask outside"
[[scenarios.turns]]
tool_calls = [
  { name = "bash", arguments = { command = "echo x >> early.txt; echo made" } },
  { name = "count_non_idempotent_write" },
]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "cat early.txt" } }]
[[scenarios.turns]]
text = "{last_result}"
"""


@pytest.mark.parametrize(("asked", "said"), [("ask for a file", "x\nlate"), ("ask outside", "x\n")])
async def test_what_a_step_wrote_before_it_waited_is_there_again_and_was_done_once(
    stack: Stack, asked: str, said: str
) -> None:
    run = await stack.create(asked, target=DEV, capabilities=ASKING)
    checkpoint = await stack.checkpoint(run)
    await stack.waits(run)
    await until(lambda: not stack.containers(), 60, "the box is not given back")
    assert (await stack.record(run)).run.status == "waiting"
    await stack.decide(checkpoint, "approve")
    told = await stack.ended(run)
    assert told[-1]["output_text"] == said
    assert [event["generation"] for event in of_type(told, "target.materialized")] == [1, 2]
    assert of_type(told, "target.lost") == []
    assert [box.state for box in await stack.read(lambda c: boxes.of_run(c, run))][:1] == ["gone"]
