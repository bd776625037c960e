"""Removes boxes: those that their runs gave back, and those that no row owns. And images that were built."""

from protocol.target import BoxPlace
from records import boxes
from records.database import Database
from records.logs import logger
from records.writer import Writer
from targets.target import Host

log = logger(__name__)


COLLECTING_S = 3_600.0


class Reaper:
    """One per worker, for its own Docker host."""

    def __init__(self, database: Database, writer: Writer, host: Host, seconds: float) -> None:
        self._database = database
        self._writer = writer
        self._host = host
        self._seconds = seconds

    async def turn(self) -> float:
        await self.reap()
        return self._seconds

    async def collect(self) -> float:
        """Images go by their last use, which is days ago: once an hour is often enough."""
        await self._host.collect(await self._database.read(boxes.images))
        return COLLECTING_S

    async def reap(self) -> None:
        for box in await self._database.read(boxes.to_reap):
            if box.place.host == self._host.name:
                await self._host.remove(box.place)
                await self._writer.commit(lambda tx, box=box: boxes.gone(tx, box.id), runs=[box.run_id])
        for box_id, run_id in await self._database.read(boxes.stale):
            await self._writer.commit(lambda tx, box_id=box_id: boxes.discard(tx, box_id), runs=[run_id])
        await self._remove_orphans()

    async def _remove_orphans(self) -> None:
        # The engine is asked first: each box that it shows had its row before.
        there = await self._host.boxes()
        owned = await self._database.read(boxes.owned)
        for box, container in there:
            if box is not None and box not in owned:
                log.warning("removing a container without a box", container_id=container, box_id=box)
                place = BoxPlace(container_id=container, host=self._host.name, image_digest="", pool_key="")
                await self._host.remove(place)
