"""Steps of a run: one model turn and its tools each."""

from sqlalchemy import Connection, bindparam, select, update

from protocol.event import StepCompleted, StepStarted
from protocol.ids import CallId, RunId
from protocol.run import Step
from records.columns import all_of, first_of
from records.conflicts import insert_unless_there
from records.tables import steps
from records.tx import Tx

# Statements that every step executes are built once: building one costs ten times its execution.
_OF = update(steps).where(steps.c.run_id == bindparam("of"), steps.c.index == bindparam("number"))
_RUNNING = _OF.where(steps.c.status == "running")


def start(tx: Tx, run_id: RunId, index: int, call_id: CallId) -> bool:
    """False where a former try has begun it."""
    row = {"run_id": run_id, "index": index, "call_id": call_id, "status": "running", "started_at": tx.now}
    if not insert_unless_there(tx.connection, steps, row):
        return False
    tx.append(run_id, StepStarted(step=index), key=f"step:{index}:started")
    return True


def set_tools(tx: Tx, run_id: RunId, index: int, count: int) -> None:
    tx.connection.execute(_OF, {"of": run_id, "number": index, "tool_count": count})


def set_tree(tx: Tx, run_id: RunId, index: int, commit: str) -> None:
    """The commit at which the work tree stood after the step."""
    tx.connection.execute(_OF, {"of": run_id, "number": index, "tree_checkpoint": commit})


def complete(tx: Tx, run_id: RunId, index: int) -> bool:
    """False where it is not running any more."""
    over = {"of": run_id, "number": index, "status": "completed", "completed_at": tx.now}
    if tx.connection.execute(_RUNNING, over).rowcount == 0:
        return False
    tx.append(run_id, StepCompleted(step=index), key=f"step:{index}:completed")
    return True


def interrupt(tx: Tx, run_id: RunId) -> None:
    """Whatever step is running will not be completed."""
    running = update(steps).where(steps.c.run_id == run_id, steps.c.status == "running")
    tx.connection.execute(running.values(status="interrupted", completed_at=tx.now))


def get(connection: Connection, run_id: RunId, index: int) -> Step | None:
    query = select(steps).where(steps.c.run_id == run_id, steps.c.index == index)
    return first_of(Step, connection.execute(query))


def list_steps(connection: Connection, run_id: RunId) -> list[Step]:
    query = select(steps).where(steps.c.run_id == run_id).order_by(steps.c.index)
    return all_of(Step, connection.execute(query))
