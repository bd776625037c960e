"""Servers that wait in the session of one worker: an answer comes there from whichever worker took it."""

from collections.abc import AsyncGenerator
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_asyncio

from protocol.checkpoint import Checkpoint
from protocol.ids import RunId
from records.decisions import Decided
from tests.invariants import assert_standing_invariants
from tests.mcp_peers import Peer, peer
from tests.mcp_server import ASK
from tests.stack import Stack
from tests.temporal_server import TemporalServer
from workflows.signatures import holder_queue

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

SCRIPT = """
[[scenarios]]
when = "^ask"
turns = [{ tool_calls = [{ name = "old__ask" }] }, { text = "I got: {last_result}" }]

[[scenarios]]
when = "^busy"
delta_chars = 1
delta_delay_ms = 1000
turns = [{ text = "words that take so long that nobody ever hears the last of them, whatever happens" }]
"""

SERVER = """
[mcp_servers.old]
url = "{url}/mcp"
private_network = true
protocol_version = "2025-11-25"
"""


class House(NamedTuple):
    stack: Stack
    server: Peer

    def asked(self) -> int:
        return len(self.server.calls())


@pytest_asyncio.fixture(loop_scope="module")
async def house(temporal_server: TemporalServer, cache: Path, tmp_path: Path) -> AsyncGenerator[House]:
    (tmp_path / "old").mkdir()
    with peer("tests.mcp_server", tmp_path / "old") as server:
        server.offer(ASK)
        config = SERVER.format(url=server.url)
        async with Stack(tmp_path / "data", temporal_server, cache, SCRIPT, mcp=config) as stack:
            yield House(stack, server)
            await assert_standing_invariants(stack, stack.runs)


async def held_by_a_busy_worker(house: House) -> tuple[RunId, list[RunId], Checkpoint]:
    """A question that waits in the session of a worker with no room for anything else, beside a free one."""
    stack = house.stack
    await stack.start_worker(RHONE_WORKER_ACTIVITIES="1")
    run = await stack.create("ask", capabilities=[{"kind": "mcp", "server": "old", "tools": ["ask"]}])
    first = await stack.checkpoint(run)
    assert isinstance(await stack.decide(first, "approve"), Decided)
    question = await stack.checkpoint(run, 2)
    assert question.kind == "question"
    await stack.waits_for(question)
    busy = await stack.create("busy")
    await stack.told(busy, "response.delta")
    await stack.start_worker()
    return run, [busy], question


async def was_handed_on(house: House, run: RunId) -> bool:
    history = await house.stack.handle(run).fetch_history()
    queues = [one.activity_task_scheduled_event_attributes.task_queue.name for one in history.events]
    return any(queue.startswith(holder_queue("")) for queue in queues)


async def free(house: House, busy: list[RunId]) -> None:
    for run in busy:
        await house.stack.cancel(run)
        await house.stack.ended(run)


async def test_an_answer_reaches_the_worker_in_whose_session_the_server_waits(house: House) -> None:
    run, busy, question = await held_by_a_busy_worker(house)
    assert isinstance(await house.stack.decide(question, "answer", answer={"name": "Ada"}), Decided)
    told = await house.stack.ended(run)
    assert '{"action":"accept","content":{"name":"Ada"}}' in told[-1]["output_text"]
    assert house.asked() == 1
    assert await was_handed_on(house, run)
    await free(house, busy)


async def test_an_answer_to_a_session_that_is_gone_is_told_of_and_nothing_is_sent_again(
    house: House,
) -> None:
    run, busy, question = await held_by_a_busy_worker(house)
    house.stack.workers[0].kill()
    assert isinstance(await house.stack.decide(question, "answer", answer={"name": "Ada"}), Decided)
    unknown = await house.stack.checkpoint(run, 3)
    assert unknown.kind == "outcome_unknown"
    assert house.asked() == 1
    answer = await house.stack.decide(unknown, "answer", answer={"resolution": "failed"})
    assert isinstance(answer, Decided)
    assert (await house.stack.ended(run))[-1]["type"] == "run.completed"
    await free(house, busy)
