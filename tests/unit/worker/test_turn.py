"""What a session keeps of an answer."""

from collections.abc import AsyncIterator
from typing import Any, cast

from protocol.block import Opaque, Provenance, ResponseBlock, ThinkingBlock, ToolCallBlock
from protocol.ids import CallId, RunId
from protocol.model import (
    Finish,
    ModelEvent,
    ServerToolEnd,
    ServerToolStart,
    TextEnd,
    TextStart,
    ToolCallEnd,
    ToolCallStart,
)
from protocol.run import Run
from protocol.usage import Usage
from records.writer import Writer
from tests.conformance.provider_suite import AT
from worker.turn import Deltas, blocks_of, collect

MAKER = Provenance(dialect="d", vendor="v", account_scope="a", model_family="m")
RUN = Run.model_construct(id=RunId("run_1"), session_id="sess_1")


def state(payload: Any) -> tuple[Opaque, ...]:
    return (Opaque(provenance=MAKER, payload=payload),)


async def test_what_a_vendor_wants_back_is_kept_with_the_block_that_it_belongs_to() -> None:
    events: list[ModelEvent] = [
        ServerToolStart(block=0, call_id="ws", name="web_search"),
        ServerToolEnd(block=0, call_id="ws", name="web_search", status="completed", opaque=state("search")),
        TextStart(block=1),
        TextEnd(block=1, text="hi", opaque=state("phase")),
        TextStart(block=2),
        TextEnd(block=2, text=""),
        ToolCallStart(block=3, call_id="a", name="bash"),
        ToolCallEnd(
            block=3, call_id="a", name="bash", arguments={}, arguments_raw="{}", arguments_state="ok",
            opaque=state("custom"),
        ),
        Finish(reason="tool_calls", usage=Usage()),
    ]  # fmt: skip

    async def stream() -> AsyncIterator[ModelEvent]:
        for event in events:
            yield event

    deltas = Deltas(cast(Writer, None), RUN.id, CallId("call_1"), 1, withhold=True)
    made = blocks_of(await collect(stream(), deltas), RUN, CallId("call_1"), AT)
    assert [(type(block), block.opaque[0].payload) for block in made] == [
        (ThinkingBlock, "search"),
        (ResponseBlock, "phase"),
        (ToolCallBlock, "custom"),
    ]
