"""Whether receipts and the effect ledger tell the same: nothing is claimed or settled on one side alone."""

from typing import NamedTuple

import orjson
from sqlalchemy import Connection, select

from protocol.ids import RunId, ToolExecutionId
from records.receipt_tables import receipts
from records.tables import effects


class Unmatched(NamedTuple):
    """An effect that receipts and ledger tell differently."""

    run_id: RunId
    tool_execution_id: ToolExecutionId
    text: str


def unmatched(connection: Connection, run_id: RunId | None = None) -> list[Unmatched]:
    """Of one run, or of all; effects that began before there were receipts are not known to either."""
    told = _told(connection, run_id)
    ledger = _ledger(connection, run_id)
    found: list[Unmatched] = []
    for name in sorted({*told, *ledger}):
        run, *state = told.get(name, (None, 0, "nothing"))
        owner, *kept = ledger.get(name, (None, 0, "nothing"))
        reopened = kept == [state[0], "intent"] and state[1] == "unknown"
        if state != kept and not reopened:
            text = f"its receipt says {state[1]} (claim {state[0]}), the ledger {kept[1]} (claim {kept[0]})"
            found.append(Unmatched(RunId(run or owner or ""), ToolExecutionId(name), text))
    return found


def _told(connection: Connection, run_id: RunId | None) -> dict[str, tuple[str, int, str]]:
    """Run, claim and state of each effect by the last record that speaks of it."""
    query = select(receipts.c.run_id, receipts.c.kind, receipts.c.record).order_by(
        receipts.c.run_id, receipts.c.ordinal
    )
    query = query.where(receipts.c.kind.in_(("claim", "outcome", "undone")))
    if run_id is not None:
        query = query.where(receipts.c.run_id == run_id)
    states = {"claim": "claimed", "undone": "intent"}
    found: dict[str, tuple[str, int, str]] = {}
    for row in connection.execute(query):
        body = orjson.loads(row.record)["body"]
        state = states.get(row.kind) or body["state"]
        found[body["tool_execution_id"]] = (row.run_id, body["epoch"], state)
    return found


def _ledger(connection: Connection, run_id: RunId | None) -> dict[str, tuple[str, int, str]]:
    columns = (effects.c.tool_execution_id, effects.c.run_id, effects.c.epoch, effects.c.state)
    query = select(*columns).where(effects.c.epoch > 0)
    if run_id is not None:
        query = query.where(effects.c.run_id == run_id)
    return {row.tool_execution_id: (row.run_id, row.epoch, row.state) for row in connection.execute(query)}
