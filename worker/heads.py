"""The heads of the histories that this process works on: each turn reads only what is new."""

from collections import OrderedDict
from collections.abc import Sequence

from protocol.block import Block
from records import blocks
from records.database import Database

KEPT = 512


class Heads:
    """A cache of what models see next. A head only grows while a run holds it, so a position tells what is
    missing; whoever drops blocks forgets the history."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[str, tuple[int, list[Block]]] = OrderedDict()

    async def read(self, history: str) -> Sequence[Block]:
        position, known = self._known.get(history, (0, []))
        end, new = await self._database.read(
            lambda connection: blocks.head_after(connection, history, position)
        )
        known.extend(new)
        self._known[history] = (end, known)
        self._known.move_to_end(history)
        while len(self._known) > KEPT:
            self._known.popitem(last=False)
        return known

    def forget(self, history: str) -> None:
        self._known.pop(history, None)
