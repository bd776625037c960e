"""Which run a checkpoint belongs to: it never changes, so whoever was shown one decides without a look-up."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

from gateway.names import checkpoint_named
from protocol.checkpoint import Checkpoint, CheckpointKind
from protocol.ids import ProjectId, RunId
from protocol.principal import Tenant
from records.database import Database

REMEMBERED = 10_000


class Place(NamedTuple):
    run_id: RunId
    kind: CheckpointKind


class KnownCheckpoints:
    """Remembers those that were shown last, each for its own project."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: OrderedDict[tuple[ProjectId, str], Place] = OrderedDict()

    async def place(self, tenant: Tenant, name: str) -> Place:
        known = self._known.get((tenant.project_id, name))
        if known is None:
            found = await self._database.read(lambda connection: checkpoint_named(connection, tenant, name))
            self.shown(tenant, [found])
            known = self._known[tenant.project_id, name]
        return known

    def shown(self, tenant: Tenant, checkpoints: Iterable[Checkpoint]) -> None:
        for checkpoint in checkpoints:
            self._known[tenant.project_id, checkpoint.id] = Place(checkpoint.run_id, checkpoint.kind)
        while len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
