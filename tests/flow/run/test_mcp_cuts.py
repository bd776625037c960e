"""Runs whose servers break off or misbehave: what cannot be repeated is asked about, and the run goes on."""

import asyncio
from collections.abc import AsyncGenerator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from protocol.event import TERMINAL_EVENTS
from protocol.ids import RunId
from providers.mcp.calls import KEY
from tests.invariants import assert_standing_invariants
from tests.mcp_peers import Peer, peer
from tests.secrets.test_canaries import next_of
from tests.stack import Event, Stack, of_type
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

CALLS = 25
TOGETHER = 8
HOSTILE = ("nested", "not_utf8", "other_id", "html", "mismatch", "surrogates", "broken", "null")
SERVERS = {
    "cut": ("cut", "non_idempotent_write"),
    "cut_body": ("cut_body", "non_idempotent_write"),
    "once": ("cut_once", "idempotent_write"),
    "first": ("cut_first", "non_idempotent_write"),
    **{case: (case, "read_only") for case in HOSTILE},
}


def calls(*servers: str) -> str:
    return "[" + ", ".join(f'{{ name = "{server}__act" }}' for server in servers) + "]"


SCRIPT = f"""
[[scenarios]]
when = "^one-shot"
[[scenarios.turns]]
tool_calls = {calls(*(["cut", "cut_body"] * CALLS)[:CALLS])}
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^together"
[[scenarios.turns]]
tool_calls = {calls(*["first"] * TOGETHER)}
[[scenarios.turns]]
text = "done"

[[scenarios]]
when = "^idempotent"
[[scenarios.turns]]
tool_calls = {calls(*["once"] * CALLS)}
[[scenarios.turns]]
text = "done"
""" + "".join(
    f"""
[[scenarios]]
when = "^{case}$"
[[scenarios.turns]]
tool_calls = {calls(case)}
[[scenarios.turns]]
text = "done"
"""
    for case in HOSTILE
)


class House(NamedTuple):
    stack: Stack
    hostile: Peer

    def keys(self, *cases: str) -> list[str]:
        """Of the calls that a server saw, in their order."""
        return [call["meta"][KEY] for call in self.hostile.calls() if call["case"] in cases]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(
    temporal_server: TemporalServer, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[House]:
    folder = tmp_path_factory.mktemp("mcp_cuts")
    with peer("tests.hostile_mcp", folder) as hostile:
        tables = "\n".join(
            f'[mcp_servers.{name}]\nurl = "{hostile.url}/{case}"\nprivate_network = true\n'
            f'timeout_ms = 1000\neffects = {{ act = "{effect}" }}\n'
            for name, (case, effect) in SERVERS.items()
        )
        async with Stack(folder / "data", temporal_server, cache, SCRIPT, mcp=tables) as stack:
            await stack.start_worker()
            yield House(stack, hostile)
            await assert_standing_invariants(stack, stack.runs)


def asked(*servers: str) -> list[dict[str, Any]]:
    return [{"kind": "mcp", "server": server, "tools": ["act"]} for server in servers]


async def carried(stack: Stack, run: RunId) -> list[Event]:
    """To its end: somebody agrees to each call, and says of a lost answer that it had been done."""
    number = 0
    while True:
        told = await stack.until(run, partial(next_of, number=number))
        if told[-1]["type"] in TERMINAL_EVENTS:
            return told
        number += 1
        checkpoint = await stack.checkpoint(run, number)
        if checkpoint.kind == "approval":
            await stack.decide(checkpoint, "approve")
        else:
            await stack.decide(checkpoint, "answer", answer={"resolution": "succeeded"})


def requested(told: list[Event]) -> list[str]:
    return [event["tool_execution_id"] for event in of_type(told, "tool_execution.requested")]


@pytest.mark.parametrize("rounds", [1, pytest.param(2, marks=pytest.mark.soak)])
async def test_a_cut_answer_repeats_nothing_but_what_takes_our_key(house: House, rounds: int) -> None:
    """MCP-05: fifty cuts a round, half of them in calls that happen once and half in those with a key."""
    stack, one_by_one = house.stack, {"parallel_tools": False}
    for _ in range(rounds):
        before = len(house.keys("cut", "cut_body")), len(house.keys("cut_once"))
        once = await stack.create("one-shot", capabilities=asked("cut", "cut_body"), limits=one_by_one)
        keyed = await stack.create("idempotent", capabilities=asked("once"), limits=one_by_one)
        sent, again = await asyncio.gather(carried(stack, once), carried(stack, keyed))
        assert (sent[-1]["output_text"], again[-1]["output_text"]) == ("done", "done")
        assert house.keys("cut", "cut_body")[before[0] :] == requested(sent)
        unknown = [one for one in of_type(sent, "checkpoint.opened") if one["kind"] == "outcome_unknown"]
        assert len(unknown) == len(requested(sent)) == CALLS
        assert house.keys("cut_once")[before[1] :] == [key for key in requested(again) for _ in range(2)]


async def test_nobody_is_asked_about_a_call_that_was_not_sent(house: House) -> None:
    """One answer is cut, and with it the session in which the other calls wait for their turn."""
    stack = house.stack
    run = await stack.create("together", capabilities=asked("first"))
    asks = [await stack.checkpoint(run, number) for number in range(1, TOGETHER + 1)]
    await asyncio.gather(*(stack.decide(one, "approve") for one in asks))
    lost = await stack.checkpoint(run, TOGETHER + 1)
    await stack.decide(lost, "answer", answer={"resolution": "succeeded"})
    told = await stack.ended(run)
    unknown = [one for one in of_type(told, "checkpoint.opened") if one["kind"] == "outcome_unknown"]
    done = [one["is_error"] for one in of_type(told, "tool_execution.completed")]
    assert (told[-1]["output_text"], len(unknown), done) == ("done", 1, [False] * TOGETHER)
    assert sorted(house.keys("cut_first")) == sorted(requested(told))


async def test_a_run_goes_on_after_each_misbehaviour_of_a_server(house: House) -> None:
    """MCP-06: what is no answer is an error result that the model is told of."""
    for case in HOSTILE:
        told = await house.stack.ended(await house.stack.create(case, capabilities=asked(case)))
        assert (told[-1]["type"], told[-1]["output_text"]) == ("run.completed", "done"), case
        assert all(one["is_error"] for one in of_type(told, "tool_execution.completed")), case
        assert requested(told), case
