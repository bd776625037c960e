"""What `rhone reconcile` asks: where the records contradict themselves, what they claim of the world."""

from typing import NamedTuple

from sqlalchemy import Connection, case, func, or_, select

from protocol.event import TERMINAL_EVENTS
from protocol.ids import CheckpointId, RunId, ToolExecutionId
from protocol.noun import JSONObject
from protocol.run import RunStatus
from records.tables import effects, events, runs, tool_executions


class LogFault(NamedTuple):
    """A log that is not first_seq..last_seq with exactly one terminal event where the run has ended."""

    run_id: RunId
    status: str
    first_seq: int
    last_seq: int
    kept: int
    lowest: int | None
    highest: int | None
    terminal_events: int


class OpenRun(NamedTuple):
    run_id: RunId
    status: RunStatus
    waiting_for: tuple[CheckpointId, ...]


class Deed(NamedTuple):
    """An effect outside that succeeded, as it says itself."""

    run_id: RunId
    tool_execution_id: ToolExecutionId
    tool: str
    result: JSONObject


def log_faults(connection: Connection) -> list[LogFault]:
    terminal = func.coalesce(func.sum(case((events.c.type.in_(TERMINAL_EVENTS), 1), else_=0)), 0)
    count, lowest, highest = func.count(events.c.seq), func.min(events.c.seq), func.max(events.c.seq)
    numbered = runs.c.last_seq - runs.c.first_seq + 1
    due = case((runs.c.completed_at.is_not(None), 1), else_=0)
    wrong = (count != numbered, lowest != runs.c.first_seq, highest != runs.c.last_seq, terminal != due)
    query = (
        select(runs.c.id, runs.c.status, runs.c.first_seq, runs.c.last_seq, count, lowest, highest, terminal)
        .outerjoin_from(runs, events, events.c.run_id == runs.c.id)
        .group_by(runs.c.id)
        .having(or_(*wrong))
        .order_by(runs.c.id)
    )
    return [LogFault(*row) for row in connection.execute(query)]


def claims_without_outcome(connection: Connection) -> list[ToolExecutionId]:
    """Effects that are still claimed although their run has ended."""
    query = (
        select(effects.c.tool_execution_id)
        .join(runs, runs.c.id == effects.c.run_id)
        .where(effects.c.state == "claimed", runs.c.completed_at.is_not(None))
        .order_by(effects.c.tool_execution_id)
    )
    return list(connection.execute(query).scalars())


def forge_deeds(connection: Connection) -> list[Deed]:
    """Pushes and pull requests that succeeded: each has to be on its forge exactly once."""
    query = (
        select(effects.c.run_id, effects.c.tool_execution_id, tool_executions.c.tool, effects.c.result)
        .join(tool_executions, tool_executions.c.id == effects.c.tool_execution_id)
        .where(effects.c.state == "succeeded", tool_executions.c.source == "forge")
        .order_by(effects.c.tool_execution_id)
    )
    return [Deed(*row) for row in connection.execute(query)]


def open_runs(connection: Connection) -> list[OpenRun]:
    """Runs that have not ended, with the reason that they name for waiting."""
    query = (
        select(runs.c.id, runs.c.status, runs.c.waiting_for)
        .where(runs.c.completed_at.is_(None))
        .order_by(runs.c.created_at, runs.c.id)
    )
    return [
        OpenRun(row.id, "queued" if row.status == "starting" else row.status, row.waiting_for or ())
        for row in connection.execute(query)
    ]
