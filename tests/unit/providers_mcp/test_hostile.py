"""A hostile server (MCP-06): each case ends in time with a value, and costs next to no memory."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest

from protocol.errors import Unavailable
from protocol.ids import RunId
from protocol.mcp import Lost, NotDone, Said
from providers.mcp.servers import Servers

RUN = RunId("run_1")
SECONDS = 1.0
LIMIT = 64 * 1024 * 1024
CALLS = (
    *("endless_body", "gigabyte", "endless_event", "endless_comments", "endless_notes", "nested", "not_utf8"),
    *("surrogates", "other_id", "drip", "silent", "html", "mismatch", "packed", "accepted", "broken"),
    *("astray", "around", "long_head", "other_shape", "null", "cut", "cut_body"),
)
GOOD = ("asks_back", "twice", "regex", "recursive", "remote_ref")
"""What is answered all the same: the rest of it is not read, or not believed."""


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.slow
async def test_no_misbehaviour_holds_a_call_or_fills_the_memory(
    hostile: Any, servers: Callable[..., Servers]
) -> None:
    made = servers(**{case: hostile.entry(case) for case in ("fine", *CALLS, *GOOD)})
    first = await made.connection(RUN, "fine")
    assert isinstance(await first.call("tools", "act", {}, key="k", seconds=SECONDS), Said)
    before = resident()
    for case in (*CALLS, *GOOD):
        connection = await made.connection(RUN, case)
        began = time.monotonic()
        answer = await connection.call("tools", "act", {}, key="k", seconds=SECONDS)
        assert time.monotonic() - began < SECONDS + 2.5, case
        assert isinstance(answer, Said if case in GOOD else NotDone | Lost), (case, answer)
        assert resident() - before < LIMIT, case
    assert isinstance(await first.call("tools", "act", {}, key="k", seconds=SECONDS), Said)
    async with httpx2.AsyncClient() as client:
        await client.get(f"{hostile.url}/canary")
    assert [call["case"] for call in hostile.calls()].count("canary") == 1, "a schema was followed"


@pytest.mark.parametrize("case", ["endless_list", "big_list"])
async def test_a_list_without_an_end_is_cut_or_refused(
    hostile: Any, servers: Callable[..., Servers], case: str
) -> None:
    connection = await servers(t=hostile.entry(case)).connection(RUN, "t")
    if case == "big_list":
        with pytest.raises(Unavailable):
            await connection.listing("tools")
    else:
        assert await connection.listing("tools") == {}
