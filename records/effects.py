"""The effect ledger: intent, claimed under an epoch, then succeeded, failed or unknown; at most once told.

A claim is refused once the run or the execution is over, and where an approval is needed it spends it in the
same transaction. Whoever claims later fences off whoever claimed before: only the newest epoch may settle.
"""

from typing import Literal

import orjson
from sqlalchemy import Connection, Update, bindparam, select, update

from protocol.effect import AlreadySettled, Claim, Claimed, ClaimLost, EffectRow
from protocol.ids import CheckpointId, RunId, ToolExecutionId
from protocol.noun import JSONObject, Noun
from protocol.tool import Effect
from records import bodies, checkpoints, receipts
from records.columns import all_of, first_of, selected
from records.conflicts import insert_unless_there
from records.tables import effects, tool_executions
from records.tx import Tx

# Statements that every step executes are built once: building one costs ten times its execution.
_OF = effects.c.tool_execution_id == bindparam("of")
_ONE = selected(EffectRow, effects).where(_OF)
_PREPARED = select(effects.c.prepared).where(_OF)
_CLAIM = (
    update(effects)
    .where(_OF, effects.c.state.in_(("intent", "claimed")))
    .values(state="claimed", epoch=effects.c.epoch + 1)
    .returning(effects.c.epoch)
)
_TOLD = (effects.c.run_id, effects.c.tool_execution_id, effects.c.epoch, effects.c.envelope_digest)
_SETTLE = (
    update(effects)
    .where(_OF, effects.c.state.in_(("claimed", "unknown")), effects.c.epoch == bindparam("by"))
    .returning(*_TOLD)
)
_KEEP = update(effects).where(_OF, effects.c.state == "claimed", effects.c.epoch == bindparam("by"))
_STATUS = select(tool_executions.c.status).where(tool_executions.c.id == bindparam("of"))


class Intent(Noun):
    """What is about to be claimed; `prepared` is what performing it needs, for whoever will."""

    tool_execution_id: ToolExecutionId
    run_id: RunId
    effect: Effect
    envelope_digest: str
    prepared: JSONObject


def intend(tx: Tx, intent: Intent) -> None:
    """Until it is claimed, a newer intent replaces the older one."""
    execution = intent.tool_execution_id
    values = {
        "effect": intent.effect,
        "envelope_digest": intent.envelope_digest,
        "prepared": bodies.stow(tx.connection, orjson.dumps(intent.prepared).decode()),
    }
    row = {"tool_execution_id": execution, "run_id": intent.run_id, "state": "intent", **values}
    if not insert_unless_there(tx.connection, effects, row):
        tx.connection.execute(_of(execution, "intent").values(**values))


def prepared(connection: Connection, execution: ToolExecutionId) -> JSONObject | None:
    """What was prepared with the newest intent."""
    kept = connection.execute(_PREPARED, {"of": execution}).scalar()
    return None if kept is None else orjson.loads(bodies.fetch(connection, kept))


def keep(tx: Tx, execution: ToolExecutionId, epoch: int, prepared: JSONObject) -> bool:
    """What going on with a claimed effect needs, by the one who holds the newest claim."""
    stowed = bodies.stow(tx.connection, orjson.dumps(prepared).decode())
    kept = {"of": execution, "by": epoch, "prepared": stowed}
    return tx.connection.execute(_KEEP, kept).rowcount == 1


def claim(
    tx: Tx, execution: ToolExecutionId, *, envelope_digest: str, approval: CheckpointId | None = None
) -> Claim:
    """The right to act. `again` tells that an earlier claim has no outcome: it may have acted."""
    row = get(tx.connection, execution)
    lost = _refusal(tx, execution, row)
    if lost is not None or row is None:
        return ClaimLost(reason=lost or "nothing was intended")
    if row.state in ("succeeded", "failed", "unknown"):
        return AlreadySettled(row=row)
    again = row.state == "claimed"
    if approval is not None:
        anew = row.effect == "workspace" and row.epoch > 0  # undone with its box: the same act again
        spent = checkpoints.redeem(tx, approval, execution, envelope_digest, again=again or anew)
        if spent is not None:
            return ClaimLost(reason=spent)
    taken = {
        "of": execution,
        "envelope_digest": envelope_digest,
        "evidence_digest": tx.evidence(row.run_id),
        "claimed_at": tx.now,
    }
    epoch = tx.connection.execute(_CLAIM, taken).scalar_one()
    receipts.claimed(tx, row, epoch, envelope_digest, approval)
    return Claimed(epoch=epoch, again=again)


def _refusal(tx: Tx, execution: ToolExecutionId, row: EffectRow | None) -> str | None:
    if row is None:
        return "nothing was intended"
    if tx.ended(row.run_id):
        return "the run has ended"
    status = tx.connection.execute(_STATUS, {"of": execution}).scalar()
    if status in ("completed", "denied", "cancelled"):
        return f"the tool execution is {status}"
    return None


def settle(
    tx: Tx,
    execution: ToolExecutionId,
    epoch: int,
    state: Literal["succeeded", "failed", "unknown"],
    result: JSONObject | None,
) -> bool:
    """The outcome, by the one who holds the newest claim; an unknown one may still become known."""
    told = {"of": execution, "by": epoch, "state": state, "result": result, "settled_at": tx.now}
    row = tx.connection.execute(_SETTLE, told).first()
    if row is not None:
        receipts.settled(tx, row, state, result)
    return row is not None


def reopen(tx: Tx, execution: ToolExecutionId) -> bool:
    """Somebody answered an unknown outcome with `retry`: it may be claimed anew."""
    return (
        tx.connection.execute(_of(execution, "unknown").values(state="intent", settled_at=None)).rowcount == 1
    )


def undo(tx: Tx, execution: ToolExecutionId) -> None:
    """What was claimed is lost with its box: it may be claimed anew."""
    taken = _of(execution, "claimed", "succeeded", "failed")
    undone = taken.values(state="intent", settled_at=None).returning(*_TOLD)
    for row in tx.connection.execute(undone).all():
        receipts.undone(tx, row)


def doubt(tx: Tx, execution: ToolExecutionId) -> None:
    """What was claimed is lost with its box, after it may have changed something outside."""
    taken = _of(execution, "claimed", "succeeded", "failed")
    for row in tx.connection.execute(
        taken.values(state="unknown", settled_at=tx.now).returning(*_TOLD)
    ).all():
        receipts.settled(tx, row, "unknown", None)


def abandon_claims(tx: Tx, run_id: RunId) -> None:
    """The run ends while somebody acts: every claim has an outcome, if only `unknown`."""
    held = update(effects).where(effects.c.run_id == run_id, effects.c.state == "claimed")
    abandoned = held.values(state="unknown", settled_at=tx.now).returning(*_TOLD)
    for row in tx.connection.execute(abandoned).all():
        receipts.settled(tx, row, "unknown", None)


def get(connection: Connection, execution: ToolExecutionId) -> EffectRow | None:
    return first_of(EffectRow, connection.execute(_ONE, {"of": execution}))


def list_effects(connection: Connection, run_id: RunId) -> list[EffectRow]:
    query = selected(EffectRow, effects).where(effects.c.run_id == run_id)
    return all_of(EffectRow, connection.execute(query.order_by(effects.c.tool_execution_id)))


def _of(execution: ToolExecutionId, *states: str) -> Update:
    return update(effects).where(effects.c.tool_execution_id == execution, effects.c.state.in_(states))
