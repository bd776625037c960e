"""Removes boxes: those that their runs gave back, and those that no row owns."""

import asyncio
import time
from collections.abc import Set

from protocol.errors import Fault
from protocol.target import BoxPlace
from records import boxes
from records.database import Database
from records.logs import logger
from records.writer import Writer
from targets.target import Host

ORPHAN_S = 50.0
"""How long a container may be without a row: it is made before it is told of."""

log = logger(__name__)


class Reaper:
    """One per worker, for its own Docker host."""

    def __init__(
        self, database: Database, writer: Writer, host: Host, making: Set[str], seconds: float
    ) -> None:
        self._database = database
        self._writer = writer
        self._host = host
        self._making = making
        self._seconds = seconds
        self._strays: dict[str, float] = {}

    async def reap_for_ever(self) -> None:
        while True:
            try:
                await self.reap()
            except Fault as fault:
                log.warning("reaping failed", reason=fault.message)
            await asyncio.sleep(self._seconds)

    async def reap(self) -> None:
        for box in await self._database.read(boxes.to_reap):
            if box.place.host == self._host.name:
                await self._host.remove(box.place)
                await self._writer.commit(lambda tx, box=box: boxes.gone(tx, box.id), runs=[box.run_id])
        await self._sweep_strays()

    async def _sweep_strays(self) -> None:
        owned = {box.place.container_id for box in await self._database.read(boxes.owned)}
        there = {container for box, container in await self._host.boxes() if box is not None}
        strays = there - owned - self._making
        self._strays = {container: self._strays.get(container, time.monotonic()) for container in strays}
        for container, since in self._strays.items():
            if time.monotonic() - since >= ORPHAN_S:
                log.warning("removing a container without a box", container_id=container)
                place = BoxPlace(container_id=container, host=self._host.name, image_digest="", pool_key="")
                await self._host.remove(place)
