"""The timeline of a session: its runs, blocks, tool executions and checkpoints, in the order they came."""

from typing import Any, Literal, NamedTuple

from sqlalchemy import Connection, func, literal, select, union_all

from protocol.block import Block
from protocol.checkpoint import Checkpoint
from protocol.ids import RunId, SessionId
from protocol.noun import Moment
from protocol.run import Run
from protocol.tool import ToolExecution
from records import blocks, checkpoints, runs, tool_executions
from records.columns import AnyRow
from records.paging import Page, PageRequest, page_of
from records.tables import blocks as block_table
from records.tables import checkpoints as checkpoint_table
from records.tables import runs as run_table
from records.tables import tool_executions as tool_table

Kind = Literal["run", "block", "tool_execution", "checkpoint"]
_KINDS: tuple[Kind, ...] = ("run", "block", "tool_execution", "checkpoint")


class Entry(NamedTuple):
    """One thing that happened, as it stands now."""

    id: str
    kind: Kind
    at: Moment
    run_id: RunId | None
    object: Run | Block | ToolExecution | Checkpoint


def page(connection: Connection, session_id: SessionId, request: PageRequest) -> Page[Entry]:
    parts = union_all(
        _part(run_table, run_table.c.id, literal(0), 0, session_id),
        _part(block_table, block_table.c.run_id, func.coalesce(block_table.c.position, 0), 1, session_id),
        _part(tool_table, tool_table.c.run_id, tool_table.c.ordinal, 2, session_id),
        _part(checkpoint_table, checkpoint_table.c.run_id, literal(0), 3, session_id),
    ).subquery()
    c = parts.c
    rows, cursor = page_of(connection, select(parts), (c.created_at, c.rank, c.number, c.id), request)
    return Page(_entries(connection, rows), cursor)


def _part(table: Any, run_id: Any, number: Any, rank: int, session_id: SessionId) -> Any:
    return select(
        table.c.id,
        table.c.created_at,
        literal(rank).label("rank"),
        number.label("number"),
        run_id.label("run_id"),
    ).where(table.c.session_id == session_id)


def _entries(connection: Connection, rows: list[AnyRow]) -> list[Entry]:
    ids: dict[Kind, list[Any]] = {kind: [] for kind in _KINDS}
    for row in rows:
        ids[_KINDS[row.rank]].append(row.id)
    found: dict[str, Any] = {block.id: block for block in blocks.by_ids(connection, ids["block"])}
    found |= {run.id: run for run in runs.by_ids(connection, ids["run"])}
    found |= {one.id: one for one in tool_executions.by_ids(connection, ids["tool_execution"])}
    found |= {one.id: one for one in checkpoints.by_ids(connection, ids["checkpoint"])}
    return [Entry(row.id, _KINDS[row.rank], row.created_at, row.run_id, found[row.id]) for row in rows]
