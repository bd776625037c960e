"""`receipts`: what a receipt adds to a durable tool step, and how long 10,000 records take to verify."""

import json
import time

from bench.figures import Goal, Pair, Row, alone, intervals, middle
from bench.runs import COUNTING_CONFIG, carried_out, intend, moments
from bench.scale import Scale
from bench.servers import Stack, fresh_stack
from cli import rhone_verify
from protocol.digest import canonical, digest
from protocol.event import StepStarted
from protocol.ids import RunId
from protocol.noun import JSON, JSONObject
from protocol.receipt import FIRST, payload_digest, seal_record
from records.tx import Tx

CALLS = 21
TOOL = "count_read_only"
RECORDS = 10_000
QUESTION: JSONObject = {
    "principal": {"id": "prin_admin", "roles": ["operator"]},
    "arguments": {"command": "make test", "note": "x" * 300},
    **dict.fromkeys(("tool", "kind", "source", "effect", "target"), "a value of a usual length"),
}
EFFECT: JSONObject = {"tool_execution_id": "tool_1", "epoch": 1, "envelope_digest": digest(1)}
GATE: JSONObject = {"answer": "allow", "rule": "a.rule", "policy_digest": digest(2), **EFFECT}


async def measure(scale: Scale) -> list[Row]:
    steps: list[Pair] = []
    for _ in range(scale.repeats):
        async with fresh_stack(config=COUNTING_CONFIG, script=_script()) as stack:
            await stack.worker()
            step = await _step(stack, scale.of(6, 2))
            added = await _added(stack, scale.of(600, 200))
        steps.append(Pair(base=step - added, ours=step))
    verified = tuple(alone(_verified()) for _ in range(scale.repeats))
    return [
        Row("tool step with its receipt : without", "ms", tuple(steps), (Goal("<=", 1.15),)),
        Row("verify 10,000 records", "s", verified, (Goal("<=", 5.0, of="ours"),)),
    ]


async def _step(stack: Stack, rounds: int) -> float:
    """Milliseconds of a step that does nothing but count: the least that a receipt can be added to."""
    body = {
        "input": "steps",
        "capabilities": [{"kind": "tool", "name": TOOL}],
        "limits": {"parallel_tools": False},
    }
    taken: list[float] = []
    for number in range(rounds + 1):
        ends = moments(await carried_out(stack, body), "tool_execution.completed")
        if number:
            taken += [1000 * seconds for seconds in intervals(ends)]
    return middle(taken)


async def _added(stack: Stack, count: int) -> float:
    """Milliseconds that the three records of a step add to its two transactions."""
    run_id = await intend(stack, {"input": "no workflow"})

    def claim(tx: Tx, told: bool) -> None:
        tx.append(run_id, StepStarted(step=1))
        if told:
            tx.attest(run_id, "gate", GATE, QUESTION)
            tx.attest(run_id, "claim", EFFECT)

    def settle(tx: Tx, told: bool) -> None:
        tx.append(run_id, StepStarted(step=1))
        if told:
            tx.attest(run_id, "outcome", EFFECT, {"result": {"exit_code": 0}})

    taken: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(count):
        for told in (False, True):
            began = time.perf_counter()
            await stack.writer.commit(lambda tx, told=told: claim(tx, told), runs=[run_id])
            await stack.writer.commit(lambda tx, told=told: settle(tx, told), runs=[run_id])
            taken[told].append(1000 * (time.perf_counter() - began))
    return middle(taken[True]) - middle(taken[False])


def _verified() -> float:
    """Seconds for a long receipt, with a question to each record."""
    run_id, end = RunId("run_long"), FIRST
    records: list[JSON] = []
    payloads: dict[str, JSON] = {}
    for ordinal in range(1, RECORDS + 1):
        salt = f"{ordinal:032x}"
        salted = payload_digest(salt, canonical(QUESTION))
        at = "2026-01-02T03:04:05.000Z"
        text, end = seal_record(run_id, ordinal, end, "outcome", at, EFFECT, salted)
        records.append(json.loads(text))
        payloads[str(ordinal)] = {"salt": salt, "value": QUESTION}
    empty: JSONObject = {"evidence": [], "policies": {}, "keys": {}, "complete": False}
    told = {"format": rhone_verify.FORMAT, "run_id": run_id, "records": records, "payloads": payloads}
    data = canonical(told | empty)
    began = time.perf_counter()
    report = rhone_verify.verify(data)
    taken = time.perf_counter() - began
    if not report.ok or report.records != RECORDS:
        raise RuntimeError(rhone_verify.told(report))
    return taken


def _script() -> str:
    calls = ", ".join([f'{{ name = "{TOOL}", arguments = {{ note = "n" }} }}'] * CALLS)
    return f'[[scenarios]]\n[[scenarios.turns]]\ntool_calls = [{calls}]\n[[scenarios.turns]]\ntext = "done"\n'
