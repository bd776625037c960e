"""Taint of a history: a label that is there stays, whatever becomes of the blocks that brought it.

A stateful run shares its session's history, so it inherits what runs before it have read.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select

from protocol.tool import ToolExecution
from records.conflicts import insert_unless_there
from records.taint_tables import taints
from records.tx import Tx

_OF = select(taints.c.label).where(taints.c.history == bindparam("of")).order_by(taints.c.label)


def add(tx: Tx, history: str, execution: ToolExecution, labels: Sequence[str]) -> None:
    """In the transaction that tells the model the result; the first result that brought a label is kept."""
    for label in labels:
        row = {"history": history, "label": label, "run_id": execution.run_id, "at": tx.now}
        insert_unless_there(tx.connection, taints, row | {"tool_execution_id": execution.id})


def of_history(connection: Connection, history: str) -> tuple[str, ...]:
    return tuple(connection.execute(_OF, {"of": history}).scalars())
