"""How far runs have come, by one look at the records."""

from collections.abc import Sequence

from sqlalchemy import func, select

from protocol.ids import RunId
from records.tables import runs
from tests.stack import Stack


async def events_told(stack: Stack, of: Sequence[RunId]) -> int:
    """The number of events that the runs have told together."""
    told = select(func.coalesce(func.sum(runs.c.last_seq), 0)).where(runs.c.id.in_(of))
    return await stack.read(lambda connection: connection.scalar(told) or 0)
