"""`step`: what a durable tool step costs over the bare activity that does the same in the same box."""

import json

from bench.bare import COMMAND, Steps
from bench.figures import Goal, Pair, Row, intervals, middle
from bench.runs import carried_out, moments
from bench.scale import Scale
from bench.servers import Stack, fresh_stack

CALLS = 21
"""In one turn, one after the other: twenty intervals a block."""

CONFIG = """
[providers.local]
protocol = "scripted"
models = ["m"]
script = "script.toml"
[targets.dev]
kind = "workspace"
[workspaces]
pool_size = 0
"""


AGENT = (
    "the machine decides more than the code: the same code gave 1.25 and 1.39 on two days. Of the 8 ms that "
    "are added, two commits with their flushes are 3, the policy's decision 2, the rest is reading, checking "
    "and telling"
)
EXEC = "where a bare activity alone takes a quarter of a `docker exec`, no durable step can take much less"


async def measure(scale: Scale) -> list[Row]:
    agent: list[Pair] = []
    exec_: list[Pair] = []
    for _ in range(scale.repeats):
        async with fresh_stack(config=CONFIG, script=_script()) as stack:
            await stack.worker()
            await stack.bare_worker()
            ours, bare, execs = await _series(stack, scale.of(4, 2))
        agent.append(Pair(base=middle(bare), ours=middle(ours)))
        exec_.append(Pair(base=middle(execs), ours=middle(ours)))
    return [
        Row(
            "durable tool step : bare activity + agent command",
            "ms",
            tuple(agent),
            (Goal("<=", 1.25),),
            AGENT,
        ),
        Row(
            "durable tool step : bare activity + `docker exec`", "ms", tuple(exec_), (Goal("<=", 0.3),), EXEC
        ),
    ]


async def _series(stack: Stack, blocks: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of each step, the three sides in turn, block by block; a first round warms all up."""
    ours: list[float] = []
    bare: list[float] = []
    execs: list[float] = []
    for number in range(blocks + 1):
        for kept, ends in (
            (bare, await stack.bare("bare_steps", Steps(activity="bare_agent", count=CALLS))),
            (ours, await _run(stack)),
            (execs, await stack.bare("bare_steps", Steps(activity="bare_exec", count=CALLS))),
        ):
            if number:
                kept += [1000 * seconds for seconds in intervals(ends)]
    return ours, bare, execs


async def _run(stack: Stack) -> list[float]:
    body = {
        "input": "steps",
        "target": {"kind": "workspace", "name": "dev"},
        "limits": {"parallel_tools": False},
    }
    ends = moments(await carried_out(stack, body), "tool_execution.completed")
    if len(ends) != CALLS:
        raise RuntimeError(f"{len(ends)} tool steps instead of {CALLS}")
    return ends


def _script() -> str:
    call = f"{{ name = 'bash', arguments = {{ command = {json.dumps(COMMAND)} }} }}"
    calls = ", ".join([call] * CALLS)
    return f'[[scenarios]]\n[[scenarios.turns]]\ntool_calls = [{calls}]\n[[scenarios.turns]]\ntext = "done"\n'
