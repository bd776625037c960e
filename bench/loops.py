"""`loops`: turns per second of fifty runs at once, beside bare workflows with two activities a turn."""

import asyncio
import time

from bench.bare import Turns
from bench.figures import Goal, Pair, Row
from bench.runs import COUNTING_CONFIG, carried_out
from bench.scale import Scale
from bench.servers import Stack, fresh_stack

TOOL = "count_read_only"


SATURATED = (
    "both sides use all cores, the engine's server half of them; Rhone's four commits and two reads a turn "
    "are the rest, spread over many small statements"
)


async def measure(scale: Scale) -> list[Row]:
    count, turns = scale.of(50, 20), scale.of(20, 8)
    pairs: list[Pair] = []
    for number in range(scale.repeats):
        async with fresh_stack(config=COUNTING_CONFIG, script=_script(turns)) as stack:
            await stack.worker()
            await stack.bare_worker()
            await asyncio.gather(_ours(stack, 2, turns), _bare(stack, 2, turns))
            sides = [_bare, _ours] if number % 2 else [_ours, _bare]
            told = {side: await side(stack, count, turns) for side in sides}
            pairs.append(Pair(base=told[_bare], ours=told[_ours]))
    claim = f"{count} runs of {turns} turns at once : bare workflows with two activities a turn"
    return [Row(claim, "turns/s", tuple(pairs), (Goal(">=", 0.7),), SATURATED)]


async def _ours(stack: Stack, count: int, turns: int) -> float:
    body = {"input": "loop", "capabilities": [{"kind": "tool", "name": TOOL}]}
    began = time.monotonic()
    await asyncio.gather(*(carried_out(stack, body) for _ in range(count)))
    return count * turns / (time.monotonic() - began)


async def _bare(stack: Stack, count: int, turns: int) -> float:
    began = time.monotonic()
    await asyncio.gather(*(stack.bare("bare_turns", Turns(count=turns)) for _ in range(count)))
    return count * turns / (time.monotonic() - began)


def _script(turns: int) -> str:
    """Each turn but the last asks for one tool."""
    asking = f'[[scenarios.turns]]\ntext = "on"\ntool_calls = [{{ name = "{TOOL}" }}]\n'
    return "[[scenarios]]\n" + asking * turns + '[[scenarios.turns]]\ntext = "done"\n'
