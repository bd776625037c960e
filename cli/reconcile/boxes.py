"""Whether the containers are those of the boxes that the records know."""

from collections.abc import Collection

from sqlalchemy import Connection

from cli.reconcile.findings import Finding
from protocol.ids import RunId
from records import boxes
from records.boxes import Box
from records.checks import OpenRun
from targets.docker import DockerHost


def owned(connection: Connection) -> list[Box]:
    return boxes.owned(connection)


async def look(host: DockerHost, known: Collection[Box], runs: Collection[OpenRun]) -> list[Finding]:
    await host.check()
    mine = [box for box in known if box.place.host == host.name]
    containers = {box.place.container_id for box in mine}
    open_ids: set[RunId] = {run.run_id for run in runs}
    found = [
        Finding("boxes", container[:12], f"the container of {box} belongs to no run")
        for box, container in await host.boxes()
        if box is not None and container not in containers
    ]
    return found + [
        Finding("boxes", box.id, f"it is {box.state}, and its run {box.run_id} has ended")
        for box in mine
        if box.run_id not in open_ids
    ]
