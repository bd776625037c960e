"""What must hold of every run, whatever was killed: records, counting world and Docker tell one story.

I1 every run has ended or waits for somebody who can still answer. I2 events are 1..n with one terminal event,
and tell every token, every byte of output and every result once. I3 the ledger and the world count the same.
I4 nothing happened that was not agreed to where it had to be. I5 snapshots verify. I6 no box is left over.
I7 receipts and ledger match both ways (RCP-05), and a receipt holds.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

from sqlalchemy import Connection

from capabilities.signing import Signer
from capabilities.snapshot import Verified, verify
from cli import rhone_verify
from cli.receipts import decide
from cli.rhone_verify import Fault
from gateway.receipts import ReceiptQuery, bundle_of
from harness.context import dangling
from protocol.block import Block, ResponseBlock, ToolResultBlock, text_of
from protocol.checkpoint import Checkpoint
from protocol.digest import canonical
from protocol.effect import EffectRow
from protocol.event import TERMINAL_EVENTS
from protocol.ids import RunId
from protocol.tool import ToolExecution
from records import blocks, boxes, checkpoints, effects, snapshots, tool_executions
from records.receipt_checks import unmatched
from records.run_record import RunRecord
from tests.stack import Event, Stack, of_type, shown

ONE_SHOT = ("non_idempotent_write", "unknown")
BOXES_GONE_S = 60.0


async def assert_standing_invariants(stack: Stack, run_ids: Sequence[RunId]) -> None:
    counted = {one.execution for one in stack.counting.executions()}
    known = await stack.read(lambda c: {one.id for one in tool_executions.by_ids(c, counted)})
    assert counted == known, f"I3: the world counts what nobody asked for: {counted - known}"
    for run_id in run_ids:
        told = await stack.events(run_id)
        faults = [*await faults_of(stack, run_id, told)]
        assert not faults, f"{run_id}:\n" + "\n".join(faults) + f"\n{shown(told)}\n{stack.logs()}"


async def faults_of(stack: Stack, run_id: RunId, told: list[Event]) -> list[str]:
    record = await stack.record(run_id)
    signer = Signer((stack.data / "signing.key").read_bytes())

    def query(connection: Connection) -> list[str]:
        executions = tool_executions.list_executions(connection, run_id)
        asked = checkpoints.of_run(connection, run_id)
        rows = effects.list_effects(connection, run_id)
        ledger: dict[str, EffectRow] = {row.tool_execution_id: row for row in rows}
        _, head = blocks.head(connection, record.history)
        snapshot_id = record.run.capability_snapshot_id
        snapshot = snapshots.load(connection, snapshot_id) if snapshot_id else None
        faults = [*_of_status(record, asked), *_of_log(record, told), *_of_output(told)]
        if record.ended:
            faults += _of_end(executions, ledger, head, told)
        if record.run.status == "completed":
            faults += _of_words(told, [block for block in head if block.run_id == run_id])
        faults += _of_world(stack, executions, ledger, asked)
        if snapshot is not None and verify(snapshot, signer.public_key) != Verified():
            faults.append("I5: the capability snapshot does not verify")
        return faults + _of_receipt(connection, record)

    return await stack.read(query)


def _of_receipt(connection: Connection, record: RunRecord) -> list[str]:
    """The notary may not have come to it yet: only its end may lack a signature."""
    found = [f"I7: {one.tool_execution_id}: {one.text}" for one in unmatched(connection, record.run.id)]
    bundle = bundle_of(connection, record.run, record.tenant.project_id, ReceiptQuery(partial=True))
    report = rhone_verify.verify(canonical(bundle), decide=decide)
    unsigned = Fault("head", "is missing: nobody has signed the end of this run")
    return found + [f"I7: {fault.where}: {fault.what}" for fault in report.faults if fault != unsigned]


def _of_status(record: RunRecord, asked: list[Checkpoint]) -> list[str]:
    if record.ended:
        return [f"I1: {one.id} is {one.status}" for one in asked if one.status in ("open", "approved")]
    reasons = record.run.waiting_for.checkpoint_ids if record.run.waiting_for else ()
    can_answer = {one.id for one in asked if one.status == "open"}
    if record.run.status != "waiting" or not reasons or not can_answer.issuperset(reasons):
        return [f"I1: it is {record.run.status}, waiting for {reasons}, of which are open {can_answer}"]
    return []


def _of_log(record: RunRecord, told: list[Event]) -> list[str]:
    faults: list[str] = []
    seqs = [event["seq"] for event in told]
    if seqs != list(range(1, len(told) + 1)) or record.run.last_seq != len(told):
        faults.append(f"I2: seqs are {seqs}, the run's last is {record.run.last_seq}")
    ends = [event["type"] for event in told if event["type"] in TERMINAL_EVENTS]
    wanted = [f"run.{record.run.status}"] if record.ended else []
    if ends != wanted or (ends and told[-1]["type"] != ends[0]):
        faults.append(f"I2: terminal events are {ends}, and should be {wanted}, last")
    return faults


def _of_output(told: list[Event]) -> list[str]:
    """Each stream of each attempt is told from its first byte on, without a gap or a repetition."""
    reached: Counter[tuple[str, int, str]] = Counter()
    faults: list[str] = []
    for event in of_type(told, "tool_execution.output"):
        stream = (event["tool_execution_id"], event["attempt"], event["stream"])
        if event["offset"] != reached[stream]:
            faults.append(f"I2: output of {stream} jumps from {reached[stream]} to {event['offset']}")
        reached[stream] = event["offset"] + len(event["delta"].encode())
    return faults


def _of_words(told: list[Event], head: list[Block]) -> list[str]:
    """A client that appends deltas and drops voided attempts shows what the model sees."""
    said: dict[tuple[str, int], dict[int, str]] = {}
    voided: set[tuple[str, int]] = set()
    for event in told:
        match event["type"]:
            case "response.delta":
                texts = said.setdefault((event["call_id"], event["attempt"]), {})
                texts[event["block"]] = texts.get(event["block"], "") + event["delta"]
            case "call.attempt_voided":
                said.pop((event["call_id"], event["attempt"]), None)
                voided.add((event["call_id"], event["attempt"]))
            case _:
                continue
        if event["type"] == "response.delta" and (event["call_id"], event["attempt"]) in voided:
            return [f"I2: an attempt speaks after it was voided: {event}"]
    shown_text = ["".join(texts[block] for block in sorted(texts)) for texts in said.values()]
    kept: dict[str, str] = {}
    for block in head:
        if isinstance(block, ResponseBlock):
            kept[block.call_id or ""] = kept.get(block.call_id or "", "") + text_of(block.content)
    interrupted = bool(of_type(told, "run.interrupted"))
    if not interrupted and shown_text != list(kept.values()):
        return [f"I2: the stream shows {shown_text}, the head holds {list(kept.values())}"]
    return []


def _of_end(
    executions: list[ToolExecution],
    ledger: dict[str, EffectRow],
    head: list[Block],
    told: list[Event],
) -> list[str]:
    faults = [f"I1: {row.tool_execution_id} is still claimed" for row in ledger.values() if _held(row)]
    faults += [f"I2: the call {call.tool_call_id} has no result" for call in dangling(head)]
    results = Counter(block.tool_call_id for block in head if isinstance(block, ToolResultBlock))
    faults += [f"I2: the call {call} has {number} results" for call, number in results.items() if number > 1]
    for execution in executions:
        ends = [
            event["type"]
            for event in told
            if event["type"] in ("tool_execution.completed", "tool_execution.denied")
            and event["tool_execution_id"] == execution.id
            and event.get("attempt", 0) in (execution.attempt, 0)
        ]
        if execution.status not in ("completed", "denied", "cancelled") or len(ends) != 1:
            faults.append(f"I2: {execution.id} is {execution.status}, told as {ends}")
    return faults


def _of_world(
    stack: Stack,
    executions: list[ToolExecution],
    ledger: dict[str, EffectRow],
    asked: list[Checkpoint],
) -> list[str]:
    counted = Counter(one.execution for one in stack.counting.executions())
    faults: list[str] = []
    for execution in executions:
        if not execution.tool.startswith("count_"):
            continue
        number, row = counted[execution.id], ledger.get(execution.id)
        said = [one for one in asked if one.tool_execution_id == execution.id]
        if number and (row is None or not row.epoch):
            faults.append(f"I3: {execution.id} happened without a claim")
        if execution.effect in (*ONE_SHOT, "idempotent_write") and number > 1 + _retries(said):
            faults.append(f"I3: {execution.id} happened {number} times")
        if (
            row is not None
            and row.state == "succeeded"
            and not number
            and "told_by" not in (row.result or {})
        ):
            faults.append(f"I3: {execution.id} is told as done and never happened")
        approvals = [one for one in said if one.kind == "approval" and one.edited is None]
        if number and any(one.status != "redeemed" for one in approvals):
            faults.append(f"I4: {execution.id} happened, and its approval is {approvals[-1].status}")
        if number and execution.outcome in ("denied", "expired", "not_executed"):
            faults.append(f"I4: {execution.id} happened, and is told as {execution.outcome}")
    return faults


def _retries(asked: list[Checkpoint]) -> int:
    """How often a person said that an effect whose outcome was unknown shall be tried again."""
    answers = [decision.answer for one in asked for decision in one.decisions]
    return answers.count({"resolution": "retry"})


def _held(row: EffectRow) -> bool:
    return row.state in ("intent", "claimed") and bool(row.epoch)


async def assert_no_box_is_left_over(stack: Stack, within: float = BOXES_GONE_S) -> None:
    """I6: when all runs have ended, no container of theirs is there; only warm ones of living workers."""
    deadline = time.monotonic() + within
    while True:
        there = containers(stack)
        mine = await stack.read(boxes.owned)
        if not there and not mine:
            return
        assert time.monotonic() < deadline, f"after {within} s there are {there} and {mine}\n{stack.logs()}"
        await asyncio.sleep(0.2)


def containers(stack: Stack) -> list[str]:
    """The boxes of this installation on the engine, those that wait in a pool apart."""
    return [name for name in stack.containers() if not name.startswith("rhone-pool-")]
