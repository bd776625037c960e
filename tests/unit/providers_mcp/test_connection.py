"""Sessions with a real server: both protocols, lists as they were sent, calls once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from protocol.errors import Unavailable
from protocol.ids import RunId
from protocol.mcp import Lost, NotDone, Said, Unsent
from providers.mcp.calls import KEY
from providers.mcp.servers import Servers
from tests.mcp_peers import peer
from tests.mcp_server import ADD, GREET, NOTE

pytestmark = pytest.mark.slow

RUN = RunId("run_1")


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_both_protocols_list_and_call(
    server: Any, servers: Callable[..., Servers], version: str
) -> None:
    connection = await servers(t=server.entry(protocol_version=version)).connection(RUN, "t")
    assert connection.facts.protocol_version == version
    assert connection.facts.info == {"name": "tests", "version": "1"}
    assert await connection.listing("tools") == {"add": ADD}
    answer = await connection.call("tools", "add", {"a": 1, "b": 2}, key="tool_1", seconds=5)
    assert answer == Said(content=({"type": "text", "text": "3"},), structured={"total": 3})
    [call] = server.calls()
    assert (call["tool"], call["arguments"], call["meta"][KEY]) == ("add", {"a": 1, "b": 2}, "tool_1")


async def test_an_error_a_shape_and_a_late_answer(server: Any, servers: Callable[..., Servers]) -> None:
    connection = await servers(t=server.entry()).connection(RUN, "t")
    failed = await connection.call("tools", "fail", {}, key="k", seconds=5)
    assert failed == Said(content=({"type": "text", "text": "it went wrong"},), is_error=True)
    assert await connection.call("tools", "shape", {}, key="k", seconds=5) == Said(
        content=(), structured={"shape": [1, 2]}
    )
    late = await connection.call("tools", "slow", {}, key="k", seconds=0.3)
    assert late == Lost(reason="the server did not answer within 0.3 s")


async def test_a_listing_is_believed_for_a_while(server: Any, servers: Callable[..., Servers]) -> None:
    made = servers(kept=server.entry(recheck_ms=60_000), fresh=server.entry())
    kept, fresh = await made.connection(RUN, "kept"), await made.connection(RUN, "fresh")
    assert list(await kept.listing("tools")) == list(await fresh.listing("tools")) == ["add"]
    server.offer()
    assert list(await kept.listing("tools")) == ["add"]
    assert list(await fresh.listing("tools")) == []


async def test_a_tool_that_is_listed_twice_is_not_listed(
    server: Any, servers: Callable[..., Servers]
) -> None:
    server.offer(ADD, ADD | {"description": "Another."}, ADD | {"name": "one"})
    connection = await servers(t=server.entry()).connection(RUN, "t")
    assert list(await connection.listing("tools")) == ["one"]


async def test_runs_do_not_share_a_session(server: Any, servers: Callable[..., Servers]) -> None:
    made = servers(t=server.entry())
    one, other = await made.connection(RUN, "t"), await made.connection(RunId("run_2"), "t")
    assert one is not other
    assert await made.connection(RUN, "t") is one


async def test_a_server_that_is_not_there_is_unavailable(
    servers: Callable[..., Servers], server: Any
) -> None:
    nobody = server.entry().model_copy(update={"url": "http://127.0.0.1:1/mcp"})
    with pytest.raises(Unavailable, match="nobody answers"):
        await servers(t=nobody).connection(RUN, "t")


async def test_one_wanted_protocol_is_the_only_one_taken(
    hostile: Any, servers: Callable[..., Servers]
) -> None:
    with pytest.raises(Unavailable):
        await servers(t=hostile.entry("fine", protocol_version="2026-07-28")).connection(RUN, "t")


@pytest.mark.slow
async def test_a_hundred_cut_answers_are_lost_and_no_call_is_sent_again(
    hostile: Any, servers: Callable[..., Servers]
) -> None:
    """MCP-05; in runs: tests/flow/run/test_mcp_cuts.py."""
    before = len(hostile.calls())
    made = servers(sse=hostile.entry("cut"), body=hostile.entry("cut_body"))
    for number in range(50):
        for name in ("sse", "body"):
            connection = await made.connection(RUN, name)
            answer = await connection.call("tools", "act", {}, key=f"{name}_{number}", seconds=5)
            assert isinstance(answer, Lost), answer
    keys = [call["meta"][KEY] for call in hostile.calls()[before:]]
    assert sorted(keys) == sorted(f"{name}_{number}" for number in range(50) for name in ("sse", "body"))


async def test_calls_that_waited_in_a_session_that_ended_were_not_sent(
    hostile: Any, servers: Callable[..., Servers]
) -> None:
    before, made = len(hostile.calls()), servers(t=hostile.entry("cut_body"))

    async def call(number: int) -> Lost | Unsent:
        answer = await (await made.connection(RUN, "t")).call(
            "tools", "act", {}, key=f"w_{number}", seconds=5
        )
        assert isinstance(answer, Lost | Unsent), answer
        return answer

    first = await asyncio.gather(*(call(number) for number in range(8)))
    assert [type(answer) for answer in first] == [Lost] + [Unsent] * 7
    assert isinstance(await call(8), Lost), "another session takes it"
    assert [call["meta"][KEY] for call in hostile.calls()[before:]] == ["w_0", "w_8"]


async def test_a_call_that_cannot_be_sent_is_not_done(servers: Callable[..., Servers], tmp_path: Any) -> None:
    with peer("tests.hostile_mcp", tmp_path) as running:
        connection = await servers(t=running.entry("fine")).connection(RUN, "t")
        assert isinstance(await connection.call("tools", "act", {}, key="k", seconds=5), Said)
    assert isinstance(await connection.call("tools", "act", {}, key="k", seconds=5), NotDone | Lost)


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_a_resource_is_read_and_a_prompt_is_got(
    server: Any, servers: Callable[..., Servers], version: str
) -> None:
    connection = await servers(t=server.entry(protocol_version=version)).connection(RUN, "t")
    assert await connection.listing("resources") == {"note://one": NOTE}
    assert await connection.listing("prompts") == {"greet": GREET}
    read = await connection.call("resources", "note://one", {}, key="k", seconds=5)
    assert read == Said(
        content=({"type": "resource", "resource": {"uri": "note://one", "text": "Buy milk."}},)
    )
    got = await connection.call("prompts", "greet", {"who": "Ada"}, key="k", seconds=5)
    assert got == Said(content=({"type": "text", "text": "Greet Ada."},))
