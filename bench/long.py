"""`long`: runs of very many turns: what a turn costs at the end, and how little history it leaves."""

import json
from dataclasses import dataclass

from bench.figures import Goal, Pair, Row, alone, growth, intervals, middle
from bench.runs import COUNTING_CONFIG, carried_out, moments
from bench.scale import Scale
from bench.servers import Stack, fresh_stack
from records.events import StoredEvent

TOOL = "count_read_only"
CONTEXT_CHARS = 800_000
"""Two hundred thousand tokens of four characters."""

KILOBYTE, MEGABYTE = 1_000, 1_000_000


@dataclass(frozen=True)
class Execution:
    """One link of the chain that a run makes by continuing as new."""

    began: float
    events: int
    size: int


GROWS = (
    "what grows is the call, by 2 ms: the scripted model reads 1,500 blocks to find its turn; "
    "the rest is the machine, whose speed drifts by more than that within the half minute of a run"
)


async def measure(scale: Scale) -> list[Row]:
    turns, calls = scale.of(500, 60), scale.of(1_000, 40)
    slopes: list[Pair] = []
    gaps: list[Pair] = []
    sizes: list[Pair] = []
    for _ in range(scale.repeats):
        async with fresh_stack(config=COUNTING_CONFIG, script=_script(turns)) as stack:
            await stack.worker()
            await carried_out(stack, _body("warm", 3))
            told = await carried_out(stack, _body("on", turns))
            chain = await _chain(stack, told)
        starts = moments(told, "call.started")
        slopes.append(alone(abs(100 * growth(intervals(starts)))))
        sizes.append(alone(sum(one.size for one in chain) / (2 * turns) / KILOBYTE))
        gaps += _gaps(told, chain)
    async with fresh_stack(config=COUNTING_CONFIG, script=_script(calls)) as stack:
        await stack.worker()
        chain = await _chain(stack, await carried_out(stack, _body("x" * CONTEXT_CHARS, calls)))
    largest = alone(max(one.size for one in chain) / MEGABYTE)
    longest = alone(max(one.events for one in chain))
    told = f"{calls:,} model calls at 200,000 tokens"
    return [
        Row(
            f"change of a turn's cost over {turns} turns",
            "%",
            tuple(slopes),
            (Goal("<=", 5.0, of="ours"),),
            GROWS,
        ),
        *_stand_stills(gaps),
        Row("history an activity", "kB", tuple(sizes), (Goal("<=", 1.2, of="ours"),)),
        Row(f"{told}: the largest history", "MB", (largest,), (Goal("<=", 2.0, of="ours"),)),
        Row(f"{told}: the longest history", "events", (longest,), (Goal("<=", 4_000, of="ours"),)),
    ]


def _stand_stills(gaps: list[Pair]) -> list[Row]:
    """None where the run was too short to continue as new."""
    claim = "stand-still at a continue-as-new : a step"
    return [Row(claim, "ms", tuple(gaps), (Goal("<=", 3.0),))] if gaps else []


async def _chain(stack: Stack, told: list[StoredEvent]) -> list[Execution]:
    """The executions of a finished run, from the first to the last."""
    run_id: str = json.loads(told[0].data)["run_id"]
    chain: list[Execution] = []
    execution: str | None = None
    while execution != "":
        handle = stack.client.get_workflow_handle(run_id, run_id=execution)
        info = (await handle.describe()).raw_description.workflow_execution_info
        chain.insert(
            0,
            Execution(
                began=info.start_time.ToNanoseconds() / 1e9,
                events=info.history_length,
                size=info.history_size_bytes,
            ),
        )
        first = await anext(handle.fetch_history_events(page_size=1))
        execution = first.workflow_execution_started_event_attributes.continued_execution_run_id
    return chain


def _gaps(told: list[StoredEvent], chain: list[Execution]) -> list[Pair]:
    """Milliseconds between the ends of two activities: everywhere, and where an execution gave over."""
    ends = sorted([*moments(told, "call.completed"), *moments(told, "tool_execution.completed")])
    step = 1000 * middle(intervals(ends))
    stood_still = [
        1000 * (min(end for end in ends if end > one.began) - max(end for end in ends if end <= one.began))
        for one in chain[1:]
    ]
    return [Pair(base=step, ours=gap) for gap in stood_still]


def _body(text: str, turns: int) -> dict[str, object]:
    return {
        "input": text,
        "capabilities": [{"kind": "tool", "name": TOOL}],
        "limits": {"max_turns": turns + 1, "max_tool_calls": turns + 1},
    }


def _script(turns: int) -> str:
    return _scenario("^warm", 3) + _scenario("", turns)


def _scenario(when: str, turns: int) -> str:
    """As many turns with a tool, and one that ends the run."""
    asking = f'[[scenarios.turns]]\nrepeat = {turns}\ntext = "on"\ntool_calls = [{{ name = "{TOOL}" }}]\n'
    named = f'when = "{when}"\n' if when else ""
    return f'[[scenarios]]\n{named}{asking}[[scenarios.turns]]\ntext = "done"\n'
