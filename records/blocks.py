"""Blocks as they are kept: each belongs to a history, and stands in its head from the moment it is entered.

A history is a session's, or a run's own where the run is stateless. The head is exactly what the model sees
next: blocks that were entered (they have a `position`) and not dropped since.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from pydantic import TypeAdapter
from sqlalchemy import Connection, bindparam, func, insert, select, update

from protocol.block import Block
from protocol.ids import BlockId, CallId, RunId, derived
from records import bodies
from records.columns import AnyRow
from records.tables import blocks
from records.tx import Tx

_BLOCK: TypeAdapter[Block] = TypeAdapter(Block)

# Statements that every step executes are built once: building one costs ten times its execution.
_ANY = select(blocks.c.id, blocks.c.body).where(blocks.c.id.in_(bindparam("ids", expanding=True)))
_END = select(func.coalesce(func.max(blocks.c.position), 0)).where(blocks.c.history == bindparam("of"))
_BEYOND = (
    select(blocks.c.position, blocks.c.body)
    .where(blocks.c.history == bindparam("of"), blocks.c.in_head, blocks.c.position > bindparam("known"))
    .order_by(blocks.c.position)
)
_ADD = insert(blocks)
_ENTER = update(blocks).where(
    blocks.c.id == bindparam("of"), blocks.c.history == bindparam("among"), blocks.c.position.is_(None)
)
_DROP = update(blocks).where(blocks.c.id.in_(bindparam("ids", expanding=True))).values(in_head=False)


def add(tx: Tx, history: str, new: Sequence[Block], *, entered: bool = True) -> None:
    """Keep blocks, at the end of the head or (`entered=False`) waiting to be entered; twice is once."""
    known = {row.id for row in _rows(tx.connection, [block.id for block in new])}
    new = [block for block in new if block.id not in known]
    if not new:
        return
    end = _end(tx.connection, history) if entered else 0
    rows = [
        {
            "id": block.id,
            "session_id": block.session_id,
            "history": history,
            "run_id": block.run_id,
            "position": end + number if entered else None,
            "in_head": entered,
            "body": bodies.stow(tx.connection, block.model_dump_json(exclude_none=True)),
            "created_at": block.created_at,
        }
        for number, block in enumerate(new, start=1)
    ]
    tx.connection.execute(_ADD, rows)


def enter(tx: Tx, history: str, ids: Iterable[BlockId]) -> None:
    """Put waiting blocks at the end of the head, in this order; one that is already in stays where it is."""
    end: int | None = None
    for block_id in ids:
        end = _end(tx.connection, history) if end is None else end
        entered = {"of": block_id, "among": history, "position": end + 1, "in_head": True}
        end += tx.connection.execute(_ENTER, entered).rowcount


def drop(tx: Tx, ids: Collection[BlockId]) -> None:
    """Take blocks out of the head; the timeline keeps them."""
    tx.connection.execute(_DROP, {"ids": list(ids)})


def drop_run(tx: Tx, run_id: RunId) -> None:
    tx.connection.execute(update(blocks).where(blocks.c.run_id == run_id).values(in_head=False))


def head(connection: Connection, history: str) -> tuple[BlockId | None, list[Block]]:
    """The last block's id and all blocks that the model sees next."""
    query = (
        select(blocks.c.body).where(blocks.c.history == history, blocks.c.in_head).order_by(blocks.c.position)
    )
    found = [_block(connection, row.body) for row in connection.execute(query)]
    return (found[-1].id if found else None), found


def head_after(connection: Connection, history: str, position: int) -> tuple[int, list[Block]]:
    """What the head has gained beyond a position, and the position that it ends at now."""
    rows = connection.execute(_BEYOND, {"of": history, "known": position}).all()
    return (rows[-1].position if rows else position), [_block(connection, row.body) for row in rows]


def head_before(connection: Connection, history: str, call_id: CallId, asked_at: datetime) -> list[Block]:
    """The head as a model call saw it: what stood before the call's own first block, or, where it left none,
    what was there when it was asked."""
    first = derived("blk_", call_id, 0)
    position = connection.execute(select(blocks.c.position).where(blocks.c.id == first)).scalar()
    before = blocks.c.position < position if position is not None else blocks.c.created_at <= asked_at
    query = select(blocks.c.body).where(blocks.c.history == history, blocks.c.in_head, before)
    rows = connection.execute(query.order_by(blocks.c.position))
    return [_block(connection, row.body) for row in rows]


def by_ids(connection: Connection, ids: Collection[BlockId]) -> list[Block]:
    """The blocks that exist among `ids`, in the order of `ids`."""
    found = {row.id: row for row in _rows(connection, ids)}
    return [_block(connection, found[block_id].body) for block_id in ids if block_id in found]


def _rows(connection: Connection, ids: Collection[str]) -> Sequence[AnyRow]:
    return connection.execute(_ANY, {"ids": list(ids)}).all()


def _end(connection: Connection, history: str) -> int:
    return connection.execute(_END, {"of": history}).scalar_one()


def _block(connection: Connection, body: str) -> Block:
    return _BLOCK.validate_json(bodies.fetch(connection, body))
