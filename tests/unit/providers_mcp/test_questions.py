"""Servers that ask in the middle of a call: the call waits aside, and goes on with the answer."""

import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from protocol.errors import Unavailable
from protocol.ids import RunId
from protocol.mcp import Asked, Asks, Exchange, Lost, McpServerEntry, NotDone, Question, Reply, Said
from providers.mcp.connection import Connection
from providers.mcp.servers import Servers
from tests import mcp_program
from tests.mcp_peers import Peer, launch_here
from tests.mcp_server import ASK, WHO
from tests.processes import until

pytestmark = pytest.mark.slow

RUN = RunId("run_1")
SOURCE = Path(mcp_program.__file__).read_text()
ADA = Reply(action="accept", content={"name": "Ada"})


def program(*words: str) -> McpServerEntry:
    return McpServerEntry.model_validate({"stdio": {"command": (sys.executable, *words)}})


@pytest_asyncio.fixture
async def made() -> AsyncGenerator[Servers]:
    entries = {
        "program": program("-c", SOURCE),
        "endless": program("-c", "while True: print('x' * 65536, end='')"),
        "gone": program("-c", "raise SystemExit(1)"),
    }
    servers = Servers(entries, lambda _: "", launch_here)
    yield servers
    await servers.close()


async def call(connection: Connection, tool: str, exchange: Exchange | None = None, key: str = "k") -> Any:
    return await connection.call("tools", tool, {}, key=key, seconds=10, exchange=exchange or Exchange())


async def test_a_program_is_listed_and_called_over_its_streams(made: Servers) -> None:
    connection = await made.connection(RUN, "program")
    assert connection.facts.protocol_version == "2025-11-25"
    assert connection.box == {"image": "none"}
    assert "echo" in await connection.listing("tools")
    said = await connection.call("tools", "echo", {"message": "hi"}, key="k", seconds=5)
    assert said == Said(content=({"type": "text", "text": "Echo: hi (1 calls)"},))
    await made.end(RUN, "program")
    assert made.sessions == ()


async def test_a_program_without_an_end_of_line_or_that_is_gone_is_unavailable(made: Servers) -> None:
    for name in ("endless", "gone"):
        with pytest.raises(Unavailable):
            await made.connection(RUN, name)


@pytest.mark.parametrize(
    "reply", [ADA, Reply(action="decline"), Reply(action="cancel")], ids=["accept", "decline", "cancel"]
)
async def test_a_question_puts_the_call_aside_until_it_is_answered(made: Servers, reply: Reply) -> None:
    connection = await made.connection(RUN, "program")
    asks = await call(connection, "ask")
    assert isinstance(asks, Asks)
    assert asks.exchange.pending == Question(message="Who are you?", fields=mcp_program.SCHEMA)
    assert made.parked == ((RUN, "program", "k"),)
    assert connection.idle_seconds == 0
    other = await call(connection, "echo", key="other")
    assert isinstance(other, Said), other
    said = await call(connection, "ask", asks.exchange.told(reply))
    assert isinstance(said, Said)
    assert f'"action": "{reply.action}"' in str(said.content[0]["text"])
    assert "(2 calls)" in str(said.content[0])
    assert made.parked == ()


async def test_a_second_question_is_asked_after_the_first(made: Servers) -> None:
    connection = await made.connection(RUN, "program")
    first = await call(connection, "ask_again")
    second = await call(connection, "ask_again", first.exchange.told(ADA))
    assert [one.question.message for one in second.exchange.asked] == ["Who are you?", "And who else?"]
    said = await call(connection, "ask_again", second.exchange.told(Reply(action="decline")))
    assert isinstance(said, Said)


async def test_a_call_that_is_sent_again_is_answered_as_before(made: Servers) -> None:
    connection = await made.connection(RUN, "program")
    question = Question(message="Who are you?", fields=mcp_program.SCHEMA)
    exchange = Exchange(asked=(Asked(question=question, reply=ADA),), holder="a process that died")
    assert isinstance(await call(connection, "ask", exchange), Said)
    asks = await call(connection, "ask_again", exchange, key="two")
    assert isinstance(asks, Asks)
    assert asks.exchange.pending is not None
    assert asks.exchange.pending.message == "And who else?"


async def test_a_call_that_nobody_waits_for_is_ended_and_the_session_goes_on(made: Servers) -> None:
    connection = await made.connection(RUN, "program")
    assert isinstance(await call(connection, "ask"), Asks)
    await made.drop(RUN, "program", "k")
    assert made.parked == ()
    assert isinstance(await call(connection, "echo", key="next"), Said)


async def test_who_comes_without_an_answer_begins_the_call_anew(made: Servers) -> None:
    connection = await made.connection(RUN, "program")
    assert isinstance(await call(connection, "ask"), Asks)
    assert isinstance(await call(connection, "ask"), Asks)
    assert made.parked == ((RUN, "program", "k"),)


async def test_what_waits_in_a_call_of_one_run_is_nothing_to_another(made: Servers) -> None:
    """MCP-09: with the same key, the same server and the other run's own state in its hands."""
    asks = await call(await made.connection(RUN, "program"), "ask")
    assert isinstance(asks, Asks)
    theirs = await call(await made.connection(RunId("run_2"), "program"), "ask", asks.exchange)
    assert isinstance(theirs, Asks)
    assert sorted(made.parked) == [(RUN, "program", "k"), ("run_2", "program", "k")]
    said = await call(await made.connection(RUN, "program"), "ask", asks.exchange.told(ADA))
    assert isinstance(said, Said)
    assert made.parked == (("run_2", "program", "k"),)


async def test_a_session_that_ends_loses_the_calls_that_wait_in_it(made: Servers) -> None:
    connection = await made.connection(RUN, "program")
    asks = await call(connection, "ask")
    assert isinstance(await call(connection, "die", key="other"), Lost)
    await until(lambda: not connection.alive, 10, "the session goes on")
    assert made.parked == ()
    assert isinstance(asks, Asks)


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
async def test_both_protocols_take_an_answer_over_http(server: Peer, servers: Any, version: str) -> None:
    server.offer(ASK)
    connection = await servers(t=server.entry(protocol_version=version)).connection(RUN, "t")
    asks = await call(connection, "ask")
    assert isinstance(asks, Asks), asks
    key, state = ("who", "the first") if version == "2026-07-28" else ("", None)
    assert asks.exchange.pending == Question(message="Who are you?", fields=WHO, key=key)
    assert asks.exchange.state == state
    said = await call(connection, "ask", asks.exchange.told(ADA))
    assert isinstance(said, Said), said
    assert "Ada" in str(said.content[0])
    assert len(server.calls()) == (2 if version == "2026-07-28" else 1)


async def test_a_new_protocol_takes_the_answer_in_another_session(server: Peer, servers: Any) -> None:
    server.offer(ASK)
    first, second = servers(t=server.entry()), servers(t=server.entry())
    asks = await call(await first.connection(RUN, "t"), "ask")
    await first.close()
    assert first.parked == ()
    said = await call(await second.connection(RUN, "t"), "ask", asks.exchange.told(Reply(action="decline")))
    assert said == Said(
        content=({"type": "text", "text": 'the first: {"action": "decline", "content": null}'},)
    )


async def test_what_is_no_form_is_refused(server: Peer, servers: Any) -> None:
    connection = await servers(t=server.entry()).connection(RUN, "t")
    server.offer(ASK | {"name": "go_there"})
    answer = await call(connection, "go_there")
    assert isinstance(answer, NotDone)
    assert "plain fields" in answer.reason
