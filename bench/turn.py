"""`turn`: a model's turn of fifty deltas inside a run, beside a bare activity that reads the same answer."""

from bench.bare import QUEUE, Steps
from bench.figures import Goal, Pair, Row, intervals, middle
from bench.runs import COUNTING_CONFIG, carried_out, moment
from bench.scale import Scale
from bench.servers import QUIET, Stack, answers, free_port, fresh_stack

TURNS = 16
DELTAS = 50
TOOL = "count_read_only"
KEY = {**QUIET, "BENCH_KEY": "none"}
GOAL = Goal("<=", 1.3)


GOVERNED = (
    "the same code gave 1.28 and 1.45 on two days; a turn commits its beginning, its deltas and its answer, "
    "each flushed to disk, the baseline nothing"
)
PARSING = (
    "this baseline throws the bytes away: reading 50 deltas as events is the difference to the row above"
)


async def measure(scale: Scale) -> list[Row]:
    kept: list[Pair] = []
    raw: list[Pair] = []
    for _ in range(scale.repeats):
        port = free_port()
        url = f"http://127.0.0.1:{port}/v1"
        async with fresh_stack(config=_config(url), script=_script(), environment=KEY) as stack:
            script = str(stack.place.home.root / "script.toml")
            stack.start(stack.python("model", "-m", "providers.scripted_server", script, "--port", str(port)))
            await answers(port)
            await stack.worker()
            await stack.bare_worker(url)
            ours, model, stream = await _series(stack, scale.of(5, 2))
        kept.append(Pair(base=middle(model), ours=middle(ours)))
        raw.append(Pair(base=middle(stream), ours=middle(ours)))
    turn = f"model turn of {DELTAS} deltas in a run"
    return [
        Row(
            f"{turn} : bare activity + the same call by Rhone's client", "ms", tuple(kept), (GOAL,), GOVERNED
        ),
        Row(f"{turn} : bare activity + the same bytes, not parsed", "ms", tuple(raw), (GOAL,), PARSING),
    ]


async def _series(stack: Stack, blocks: int) -> tuple[list[float], list[float], list[float]]:
    """Milliseconds of each turn, the three sides in turn, block by block; a first round warms all up."""
    ours: list[float] = []
    model: list[float] = []
    stream: list[float] = []
    for number in range(blocks + 1):
        for kept, turns in (
            (model, intervals(await _bare(stack, "bare_model"))),
            (ours, await _run(stack)),
            (stream, intervals(await _bare(stack, "bare_stream"))),
        ):
            if number:
                kept += [1000 * seconds for seconds in turns]
    return ours, model, stream


async def _bare(stack: Stack, activity: str) -> list[float]:
    return await stack.bare("bare_steps", Steps(activity=activity, count=TURNS, queue=QUEUE))


async def _run(stack: Stack) -> list[float]:
    """From the end of the tool step before a turn to the end of the turn."""
    body = {"input": "stream", "capabilities": [{"kind": "tool", "name": TOOL}]}
    turns: list[float] = []
    before: float | None = None
    for event in await carried_out(stack, body):
        if event.type == "tool_execution.completed":
            before = moment(event)
        elif event.type == "call.completed" and before is not None:
            turns.append(moment(event) - before)
    return turns[: TURNS - 1]


def _config(url: str) -> str:
    provider = f'protocol = "openai-compatible"\nbaseURL = "{url}"\nmodels = ["m"]\n'
    secret = 'apiKeyRef = { kind = "env", name = "BENCH_KEY" }\n'
    return COUNTING_CONFIG.partition("[providers.local]")[0] + f"[providers.local]\n{provider}{secret}"


def _script() -> str:
    asking = (
        f"[[scenarios.turns]]\nrepeat = {TURNS}\n"
        f'text = "{"Sixteen letters." * DELTAS}"\ntool_calls = [{{ name = "{TOOL}" }}]\n'
    )
    return f'[[scenarios]]\ndelta_chars = 16\n{asking}[[scenarios.turns]]\ntext = "done"\n'
