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


class Kin(NamedTuple):
    """A run, and another one that it has to do with."""

    run_id: RunId
    other: RunId


def strays(connection: Connection) -> list[Kin]:
    """Subruns that have not ended although their parent has."""
    above = runs.alias()
    query = select(runs.c.id, above.c.id.label("above")).join(above, above.c.id == runs.c.parent_run_id)
    query = query.where(runs.c.completed_at.is_(None), above.c.completed_at.is_not(None))
    return [Kin(row.id, row.above) for row in connection.execute(query.order_by(runs.c.id))]


def unheard(connection: Connection) -> list[Kin]:
    """Calls that wait for a subrun which has ended, or is not there: their runs, and the subrun."""
    query = (
        select(tool_executions.c.run_id, effects.c.result)
        .join(effects, effects.c.tool_execution_id == tool_executions.c.id)
        .where(tool_executions.c.status == "claimed", effects.c.state == "succeeded")
        .order_by(tool_executions.c.id)
    )
    named = ((row.run_id, (row.result or {}).get("child_run_id")) for row in connection.execute(query))
    found = [Kin(run_id, RunId(child)) for run_id, child in named if isinstance(child, str)]
    named_ones = runs.c.id.in_([kin.other for kin in found])
    at_work = connection.execute(select(runs.c.id).where(named_ones, runs.c.completed_at.is_(None)))
    left = set(at_work.scalars())
    return [kin for kin in found if kin.other not in left]


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
