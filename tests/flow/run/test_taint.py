"""INJ-02, taint in a run: labels come with results and stay, and both together ask before anything leaves."""

from typing import Any

import pytest

from records import taints
from tests.stack import Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

TABLES = {
    "labels": """
[labels]
count_read_only = ["untrusted"]
count_workspace = ["private"]
"""
}

SCRIPT = """
[[scenarios]]
when = "^read both, then send"
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }]
[[scenarios.turns]]
tool_calls = [{ name = "count_workspace" }]
[[scenarios.turns]]
tool_calls = [{ name = "count_non_idempotent_write", arguments = { note = "out" } }]
[[scenarios.turns]]
text = "Done."

[[scenarios]]
when = "^read one, then send"
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }]
[[scenarios.turns]]
tool_calls = [{ name = "count_non_idempotent_write", arguments = { note = "out" } }]
[[scenarios.turns]]
text = "Done."

[[scenarios]]
when = "^only read"
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }, { name = "count_workspace" }]
[[scenarios.turns]]
text = "Read."
[[scenarios.turns]]
tool_calls = [{ name = "count_idempotent_write", arguments = { note = "out" } }]
[[scenarios.turns]]
text = "Done."
"""

COUNTING = [
    {"kind": "tool", "name": f"count_{effect}"}
    for effect in ("read_only", "workspace", "idempotent_write", "non_idempotent_write")
]


def effects_of(counted: list[Any]) -> list[str]:
    return sorted(one.effect for one in counted)


async def test_what_read_strangers_and_secrets_sends_nothing_out_without_a_person(stack: Stack) -> None:
    run = await stack.create("read both, then send", capabilities=COUNTING)
    checkpoint = await stack.checkpoint(run)
    await stack.waits_for(checkpoint)
    assert (checkpoint.kind, checkpoint.rule) == ("approval", "default.exfiltration")
    before = await stack.events(run)
    assert not any(one.effect == "non_idempotent_write" for one in stack.counted(before))
    await stack.decide(checkpoint, "deny")
    told = await stack.ended(run)
    assert not any(one.effect == "non_idempotent_write" for one in stack.counted(told))
    record = await stack.record(run)
    labels = await stack.read(lambda connection: taints.of_history(connection, record.history))
    assert labels == ("private", "untrusted")


async def test_one_label_alone_asks_nobody(stack: Stack) -> None:
    run = await stack.create("read one, then send", capabilities=COUNTING)
    told = await stack.ended(run)
    assert of_type(told, "checkpoint.opened") == []
    assert any(one.effect == "non_idempotent_write" for one in stack.counted(told))


async def test_a_later_run_of_the_session_inherits_what_was_read(stack: Stack) -> None:
    first = await stack.create("only read", capabilities=COUNTING)
    await stack.ended(first)
    session = (await stack.record(first)).run.session_id
    second = await stack.create("now send it", session=session, capabilities=COUNTING)
    checkpoint = await stack.checkpoint(second)
    assert checkpoint.rule == "default.exfiltration"
    await stack.decide(checkpoint, "deny")
    await stack.ended(second)
