"""Whether the containers are those of the boxes that the records know."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection

from cli.reconcile.findings import Finding
from protocol.ids import BoxId, RunId
from records import boxes
from records.boxes import Box
from records.checks import OpenRun
from targets.docker import DockerHost


@dataclass(frozen=True)
class Known:
    """What the records say: whose containers there may be, and which boxes there are."""

    owned: Collection[BoxId]
    placed: Collection[Box]


def known(connection: Connection) -> Known:
    return Known(boxes.owned(connection), boxes.placed(connection))


async def look(host: DockerHost, known: Known, runs: Collection[OpenRun]) -> list[Finding]:
    await host.check()
    mine = [box for box in known.placed if box.place.host == host.name]
    open_ids: set[RunId] = {run.run_id for run in runs}
    found = [
        Finding("boxes", container[:12], f"the container of {box} belongs to no run")
        for box, container in await host.boxes()
        if box is not None and box not in known.owned
    ]
    return found + [
        Finding("boxes", box.id, f"it is {box.state}, and its run {box.run_id} has ended")
        for box in mine
        if box.run_id not in open_ids
    ]
