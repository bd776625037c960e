"""Body of the look: the last saved tree of a run, out of its bundles."""

from temporalio import activity

from protocol.errors import Refused, Unavailable
from records.database import Database
from targets.forge.forges import Forges
from worker.faults import for_retry
from worker.known_runs import KnownRuns
from worker.lineage import lineage
from workflows import ports
from workflows.messages import Look, Looked


class Looks(ports.Looks):
    """Sees what was saved at the end of the last step that wrote; a box that works is not disturbed."""

    def __init__(self, database: Database, known: KnownRuns, forges: Forges) -> None:
        self._database = database
        self._known = known
        self._forges = forges

    @activity.defn(name="look_into_tree")
    async def look(self, order: Look) -> Looked:
        try:
            return Looked(blob=self._database.blobs.put(await self._seen(order)))
        except Refused as fault:
            return Looked(code=fault.code, message=fault.message)
        except Unavailable as fault:
            raise for_retry(fault) from fault

    async def _seen(self, order: Look) -> bytes:
        line = await self._database.read(lambda connection: lineage(connection, order.run_id))
        tree = line.tree
        if tree is None:
            raise Refused("run.diff_unavailable", "no step of this run has saved a work tree")
        bundles = [self._database.blobs.get(digest) for digest in line.bundles]
        known = await self._known.get(order.run_id)
        grant = known.snapshot.document.repository
        mirror = None
        if grant is not None:
            mirror = self._forges.resolve(f"{grant.forge}/{grant.repository}").mirror
            # Another worker's mirror may be the one that the run was seeded from.
            await mirror.require(grant.base_commit, grant.base_branch)
        trees = self._forges.trees
        if order.path is not None:
            return await trees.file(bundles, tree.commit, order.path, mirror=mirror)
        base = grant.base_commit if grant else None
        return await trees.diff(bundles, tree.commit, base=base, mirror=mirror)
