"""`mcp`: what a call of an MCP tool adds to a durable tool step, beside the same call by the bare client."""

import json
import time

from mcp import Client

from bench.figures import Goal, Pair, Row, intervals, middle
from bench.runs import COUNTING_CONFIG, carried_out, moments
from bench.scale import Scale
from bench.servers import Stack, answers, free_port, fresh_stack
from protocol.noun import JSONObject

CALLS = 40
"""Of each tool in one turn, in turn, so that both meet the same machine."""

NOTE: JSONObject = {"note": "n"}
PLAIN = "count_read_only"

SERVER = """
[mcp_servers.peer]
url = "http://127.0.0.1:{port}/mcp"
private_network = true
effects = {{ echo = "read_only" }}
"""

BODY: JSONObject = {
    "input": "steps",
    "capabilities": [
        {"kind": "tool", "name": PLAIN},
        {"kind": "mcp", "server": "peer", "tools": ["echo"]},
    ],
    "limits": {"parallel_tools": False},
}


async def measure(scale: Scale) -> list[Row]:
    pairs: list[Pair] = []
    for _ in range(scale.repeats):
        port = free_port()
        config = COUNTING_CONFIG + SERVER.format(port=port)
        async with fresh_stack(config=config, script=_script()) as stack:
            stack.start(stack.python("peer", "-m", "bench.mcp_peer", str(port)))
            await answers(port)
            await stack.worker()
            async with Client(f"http://127.0.0.1:{port}/mcp") as client:
                pairs.append(await _series(stack, client, scale.of(6, 2)))
    claim = "an MCP call through the gate, less the step without it : the bare client's call"
    return [Row(claim, "ms", tuple(pairs), (Goal("<=", 1.5),))]


async def _series(stack: Stack, client: Client, rounds: int) -> Pair:
    """The bare client and Rhone in turn, round by round; the first round warms all up."""
    bare: list[float] = []
    plain: list[float] = []
    called: list[float] = []
    for number in range(rounds + 1):
        alone, steps = await _bare(client), await _steps(stack)
        if number:
            bare += alone
            called += steps[0::2]
            plain += steps[1::2]
    return Pair(base=middle(bare), ours=middle(called) - middle(plain))


async def _bare(client: Client) -> list[float]:
    taken: list[float] = []
    for _ in range(CALLS):
        began = time.perf_counter()
        await client.call_tool("echo", NOTE)
        taken.append(1000 * (time.perf_counter() - began))
    return taken


async def _steps(stack: Stack) -> list[float]:
    """Milliseconds from one tool's end to the next one's: the server's, the plain one's, and so on."""
    told = await carried_out(stack, BODY)
    ends = moments(told, "tool_execution.completed")
    if len(ends) != 2 * CALLS + 1 or any(json.loads(event.data).get("is_error") for event in told):
        raise RuntimeError(f"{len(ends)} calls instead of {2 * CALLS + 1}, or one that failed")
    return [1000 * seconds for seconds in intervals(ends)]


def _script() -> str:
    plain, called = (f'{{ name = "{name}", arguments = {{ note = "n" }} }}' for name in (PLAIN, "peer__echo"))
    calls = ", ".join([plain, *[called, plain] * CALLS])
    return f'[[scenarios]]\n[[scenarios.turns]]\ntool_calls = [{calls}]\n[[scenarios.turns]]\ntext = "done"\n'
