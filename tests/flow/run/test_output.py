"""Output of every size: told whole up to its cap, shown to the model with a marked and digested cut."""

import hashlib

import pytest

from protocol.block import ToolResultBlock, text_of
from records import blocks
from tests.stack import Stack, of_type
from worker.act import SHOWN_TO_MODEL
from worker.workspace_acts import OUTPUT_CAP

pytestmark = [
    pytest.mark.temporal,
    pytest.mark.docker,
    pytest.mark.slow,
    pytest.mark.asyncio(loop_scope="module"),
]

KIB, MIB = 1024, 1024 * 1024
SIZES = (0, 255 * KIB, 257 * KIB, 1_992_294, 2_202_009, 50 * MIB)
HISTORY_BYTES = 64 * KIB

SCRIPT = """
[[scenarios]]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "head -c {input} /dev/zero | tr '\\\\0' x" } }]
[[scenarios.turns]]
text = "done"
"""


@pytest.mark.parametrize("size", SIZES)
async def test_output_of_any_size_is_told_capped_and_digested(stack: Stack, size: int) -> None:
    run = await stack.create(str(size), target={"kind": "workspace", "name": "dev"})
    told = await stack.ended(run)
    assert told[-1]["type"] == "run.completed"
    (completed,) = of_type(told, "tool_execution.completed")
    assert (completed["outcome"], completed["exit_code"]) == ("succeeded", 0)
    streamed = "".join(event["delta"] for event in of_type(told, "tool_execution.output"))
    assert streamed == "x" * min(size, OUTPUT_CAP)

    _, head = await stack.read(lambda connection: blocks.head(connection, completed["session_id"]))
    shown = next(text_of(block.content) for block in head if isinstance(block, ToolResultBlock))
    if size == 0:
        assert shown == "[no output]"
    if size > SHOWN_TO_MODEL:
        assert len(shown) < SHOWN_TO_MODEL + KIB
        assert "[... cut: " in shown
    if size > OUTPUT_CAP:
        whole = hashlib.sha256(b"x" * size).hexdigest()
        assert f"[stdout cut: {size} bytes in all, sha256:{whole}]" in shown
    history = await stack.handle(run).fetch_history()
    assert sum(event.ByteSize() for event in history.events) < HISTORY_BYTES
