"""Where the boxes of this process's runs are: one attachment per box, dropped when the box is lost."""

from collections import OrderedDict

from protocol.errors import TargetLost
from protocol.ids import RunId
from protocol.target import BoxPlace
from records import boxes
from records.database import Database
from targets.target import Host, Target

KEPT = 2_000


class Places:
    """Attachments to the boxes that the records say are active."""

    def __init__(self, database: Database, host: Host) -> None:
        self._database = database
        self._host = host
        self._attached: OrderedDict[RunId, tuple[str, Target]] = OrderedDict()

    async def target(self, run_id: RunId) -> Target:
        """The run's target; TargetLost where it has no box any more."""
        attached = self._attached.get(run_id)
        if attached is not None:
            return attached[1]
        box = await self._database.read(lambda connection: boxes.active(connection, run_id))
        if box is None:
            raise TargetLost("target.not_materialized", f"{run_id} has no box")
        return await self.attach(run_id, box.place)

    async def attach(self, run_id: RunId, place: BoxPlace) -> Target:
        """What was attached before may be a box that another worker has seen lost, and replaced."""
        container, target = self._attached.get(run_id, (None, None))
        if target is not None and container == place.container_id:
            return target
        await self.drop(run_id)
        target = await self._host.attach(place)
        self._attached[run_id] = (place.container_id, target)
        while len(self._attached) > KEPT:
            await self.drop(next(iter(self._attached)))
        return target

    async def drop(self, run_id: RunId) -> None:
        attached = self._attached.pop(run_id, None)
        if attached is not None:
            await attached[1].close()
