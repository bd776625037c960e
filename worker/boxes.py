"""Bodies of the box ports: a workspace made or rebuilt, its tree saved after a step, given back."""

import asyncio
from collections.abc import Awaitable, Callable

from sqlalchemy import Connection
from temporalio import activity

from capabilities.egress import granted
from capabilities.placing import placing
from capabilities.verdict import PolicyQuestion
from protocol.capability import CapabilitySnapshot
from protocol.config import TargetEntry
from protocol.errors import Fault, Forbidden, Refused, TargetLost, TargetRefused, Unavailable
from protocol.event import TargetLostEvent, TargetMaterialized
from protocol.ids import BoxId, RunId, fresh
from protocol.noun import JSONObject
from protocol.target import BoxPlace, BoxSpec, TreeCheckpoint
from protocol.tool import ToolExecution
from protocol.workspace import SET_UP, WorkspacePlan
from records import boxes, budgets, effects, egress, snapshots, steps, tool_executions
from records.blobs import BlobStore
from records.database import Database
from records.logs import logger
from records.tx import Tx
from records.writer import Writer
from targets.forge.forges import Forges
from targets.images import resolve_image
from targets.posture import fallen
from targets.target import Host, Target
from worker.egress.control import Opened
from worker.faults import ending_for, for_retry
from worker.inflight import InFlight, Stopped, until_stopped
from worker.known_runs import KnownRun, KnownRuns, asker_of
from worker.lineage import MOST_BUNDLES, lineage
from worker.places import Places
from worker.plans import Plans
from worker.run_gate import RunGate
from worker.setups import Setups
from workflows import ports
from workflows.messages import NotPlaced, Placed, Placing, RunRef, StepRef, TreeLost, TreeResult, TreeSaved
from workflows.signatures import host_queue

PLACING_TRIES = 3
"""How often an engine that does not answer is asked before the run fails."""

log = logger(__name__)


class Boxes(ports.Boxes):
    """The workspaces of runs on this process's Docker host."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        known: KnownRuns,
        places: Places,
        inflight: InFlight,
        host: Host,
        gate: RunGate,
        forges: Forges,
        entries: Callable[[str], TargetEntry],
        open_door: Callable[[BoxId], Awaitable[Opened]],
        plans: Plans,
    ) -> None:
        self._database = database
        self._writer = writer
        self._known = known
        self._places = places
        self._inflight = inflight
        self._host = host
        self._gate = gate
        self._forges = forges
        self._entries = entries
        self._open_door = open_door
        self._plans = plans
        self._setups = Setups(database, writer)
        self._blobs: BlobStore = database.blobs

    @activity.defn(name="materialize")
    async def materialize(self, ref: RunRef) -> Placing:
        with self._inflight.working(ref.run_id) as stop:
            try:
                known = await self._known.get(ref.run_id)
                return await until_stopped(self._materialize(known), stop)
            except Stopped:
                raise for_retry(Unavailable("run.stopped", "the run was stopped")) from None
            except (Unavailable, TargetLost) as fault:
                if activity.info().attempt < PLACING_TRIES:
                    passing = Unavailable(fault.code, fault.message, retry_after=fault.retry_after)
                    raise for_retry(passing) from fault
                return NotPlaced(ending=ending_for(fault))
            except Refused as fault:
                return NotPlaced(ending=ending_for(fault))

    async def _materialize(self, known: KnownRun) -> Placing:
        run_id = known.record.run.id
        box = await self._database.read(lambda connection: boxes.active(connection, run_id))
        if box is not None:
            try:
                target = await self._places.attach(run_id, box.place)
                await target.head()
            except TargetLost:
                await self._mourn(run_id, box)
            else:
                return Placed(queue=host_queue(box.place.host), generation=box.generation)
        name = known.record.run.target.name if known.record.run.target else ""
        entry = self._entries(name)
        await self._host.check()
        image = await self._image(known, entry)
        spec = BoxSpec(image=image, limits=entry.limits, runtime=entry.runtime)
        box_id = BoxId(fresh("box_"))
        await self._check_place(known, box_id)
        if not await self._writer.commit(lambda tx: boxes.begin(tx, box_id, run_id, name), runs=[run_id]):
            raise TargetLost("run.ended", "the run has ended")
        place: BoxPlace | None = None
        try:
            door = await self._open_door(box_id) if granted(known.snapshot) else None
            place = await self._host.create(
                spec.model_copy(update={"door": door.door if door else ""}), box_id
            )
            return await self._furnish(known, box_id, name, place, door)
        except (Fault, asyncio.CancelledError):
            await asyncio.shield(self._discard(run_id, box_id, place))
            raise

    async def _check_place(self, known: KnownRun, box_id: BoxId) -> None:
        """The policy, now that the host is known; another worker's may be permitted."""
        record, document = known.record, known.snapshot.document
        target = record.run.target
        if target is None or document.model is None:  # such a snapshot is older than the question
            return

        def query(connection: Connection) -> PolicyQuestion:
            actor = budgets.actor_of(connection, record.run.session_id)
            asker = asker_of(connection, known)
            return placing(asker, target, document.repository, host=self._host.name, actor=actor)

        try:
            await self._gate.check(known, box_id, await self._database.read(query))
        except Forbidden as refusal:
            raise Unavailable(refusal.code, refusal.message) from refusal

    async def _image(self, known: KnownRun, entry: TargetEntry) -> str:
        """By digest where this engine has made a box of the run: the name may mean another image by now."""
        former = await self._database.read(lambda c: boxes.of_run(c, known.record.run.id))
        if former and former[-1].place.host == self._host.name:
            return former[-1].place.image_digest
        document = known.snapshot.document
        plan = document.workspace or WorkspacePlan(image=entry.image)
        if plan.build is None:
            return resolve_image(plan.image or entry.image)
        return await self._host.build(*await self._plans.recipe(plan.build, document.repository))

    async def _furnish(
        self, known: KnownRun, box_id: BoxId, name: str, place: BoxPlace, door: Opened | None
    ) -> Placing:
        """A box that lacks a wall is given up. The work tree goes in before the box is told of: whoever
        sees it, sees it whole."""
        run_id = known.record.run.id
        target = await self._places.attach(run_id, place)
        posture = await target.posture()
        missing = fallen(posture)
        if missing:
            raise TargetRefused("target.engine_weak", f"the box lacks walls: {', '.join(missing)}")
        await self._fill(known, target)
        await self._setups.again(known, target, place.image_digest)
        evidence: JSONObject = {
            "target": name,
            "image": place.image_digest,
            "plan": _shown(known.snapshot.document.workspace),
            "container": await self._host.inspect(place),
            "posture": posture,
            **({"egress_authority": door.authority} if door else {}),
        }

        def unit(tx: Tx) -> int | None:
            box = boxes.materialized(tx, box_id, place)
            if box is None:
                return None
            row = snapshots.add_evidence(tx, known.snapshot.id, "workspace", evidence)
            told = TargetMaterialized(target=name, generation=box.generation, evidence_digest=row.digest)
            tx.append(run_id, told, key=f"target:{name}:{box.generation}")
            if box.generation > 1:
                _run_anew(tx, run_id)
            return box.generation

        generation = await self._writer.commit(unit, runs=[run_id])
        if generation is None:
            raise TargetLost("target.given_up", "the run has ended, or another worker makes its box")
        return Placed(queue=host_queue(place.host), generation=generation)

    async def _fill(self, known: KnownRun, target: Target) -> None:
        run_id = known.record.run.id
        line = await self._database.read(lambda connection: lineage(connection, run_id))
        tree = line.tree
        bundles = [self._blobs.get(bundle) for bundle in line.bundles]
        grant = known.snapshot.document.repository
        if grant is not None:
            forge = self._forges.resolve(f"{grant.forge}/{grant.repository}")
            await forge.mirror.require(grant.base_commit, grant.base_branch)
            seed = await forge.mirror.bundle_for(grant.base_commit, grant.branch)
            if tree is None:
                await target.seed(seed, commit=grant.base_commit, branch=grant.branch)
            else:
                await target.restore([seed, *bundles], commit=tree.commit, branch=grant.branch)
        elif tree is not None:
            await target.restore(bundles, commit=tree.commit, branch="main")

    async def _mourn(self, run_id: RunId, box: boxes.Box) -> None:
        """The box that the records know is gone: told once, by its generation."""
        await self._places.drop(run_id)

        def unit(tx: Tx) -> None:
            boxes.gone(tx, box.id)
            lost = TargetLostEvent(target=box.target, generation=box.generation)
            tx.append(run_id, lost, key=f"target:{box.target}:{box.generation}:lost")

        await self._writer.commit(unit, runs=[run_id])

    async def _discard(self, run_id: RunId, box_id: BoxId, place: BoxPlace | None) -> None:
        """Without its row, a container that cannot be removed now, or is still being made, is an orphan."""
        try:
            await self._writer.commit(lambda tx: boxes.discard(tx, box_id), runs=[run_id])
            if place is not None:
                await self._places.drop(run_id)
                await self._host.remove(place)
        except Fault as fault:
            log.warning("a box that was not finished is left to the reaper", reason=fault.message)

    @activity.defn(name="save_tree")
    async def save_tree(self, ref: StepRef) -> TreeResult:
        with self._inflight.working(ref.run_id) as stop:
            try:
                known = await self._known.get(ref.run_id)
                await until_stopped(self._save_tree(known, ref.step), stop)
            except TargetLost:
                return TreeLost()
            except Stopped:
                raise for_retry(Unavailable("run.stopped", "the run was stopped")) from None
            except Unavailable as fault:
                raise for_retry(fault) from fault
        return TreeSaved()

    async def _save_tree(
        self, known: KnownRun, step: int, then: Callable[[Tx, RunId, int], object] = steps.complete
    ) -> None:
        """All that the step wrote, over the last tree before it: `then` comes in the same commit."""
        run_id = known.record.run.id
        target = await self._places.target(run_id)
        line = await self._database.read(lambda connection: lineage(connection, run_id, before=step))
        whole, saved = line.tree is None or len(line.bundles) >= MOST_BUNDLES, None
        if whole:
            saved = await self._whole(known, target, must=line.tree is None)
        if saved is None and line.tree is not None:
            whole, saved = False, await target.checkpoint(since=line.tree.commit)
        kept = self._blobs.put(saved.bundle) if saved is not None else None

        def unit(tx: Tx) -> None:
            if saved is not None:
                new = boxes.NewTree(
                    step=step, commit=saved.commit, tree=saved.tree, bundle_digest=kept, whole=whole
                )
                boxes.save_tree(tx, run_id, new)
                steps.set_tree(tx, run_id, step, saved.commit)
            then(tx, run_id, step)

        await self._writer.commit(unit, runs=[run_id])

    async def _whole(self, known: KnownRun, target: Target, *, must: bool) -> TreeCheckpoint | None:
        """None where nothing differs from the seed, or where all of it at once is too much."""
        try:
            return await target.checkpoint(since=_seeded(known.snapshot))
        except TargetRefused:
            if must:
                raise
            return None

    @activity.defn(name="release_box")
    async def release(self, ref: StepRef) -> TreeResult:
        """The run waits long: what its open step has written so far is saved, so that the box can go."""
        with self._inflight.working(ref.run_id):
            try:
                known = await self._known.get(ref.run_id)
                await self._save_tree(known, ref.step, lambda tx, run_id, _: boxes.release(tx, run_id))
            except TargetLost:
                return TreeLost()
            except Unavailable as fault:
                raise for_retry(fault) from fault
        await self._places.drop(ref.run_id)
        return TreeSaved()


def _shown(plan: WorkspacePlan | None) -> JSONObject:
    """What the box is made of, for evidence; of the environment only the names."""
    if plan is None:
        return {}
    return {**plan.model_dump(mode="json", exclude_defaults=True), "env": [*sorted(plan.env)]}


def _seeded(snapshot: CapabilitySnapshot) -> str | None:
    grant = snapshot.document.repository
    return grant.base_commit if grant else None


def _run_anew(tx: Tx, run_id: RunId) -> None:
    """What the open step did in the lost box, and was not saved, is undone with it: its workspace calls are
    new attempts, but for a command that may have changed something outside: that is for a person to tell. A
    set-up that was done is there again."""
    former = boxes.of_run(tx.connection, run_id)[-2]
    saved = next(iter(boxes.trees_of(tx.connection, run_id)), None)
    begun = [step.index for step in steps.list_steps(tx.connection, run_id) if step.status == "running"]
    for step in (0, *begun):
        saved_at = saved.created_at if saved and saved.step == step else None
        for execution in tool_executions.list_executions(tx.connection, run_id, step=step):
            ended_at = execution.completed_at
            is_safe = ended_at and (step == 0 or (saved_at and ended_at <= saved_at))
            if execution.effect == "workspace" and execution.source == "target" and not is_safe:
                tool_executions.reopen(tx, execution.id)
                if _went_out(tx, former.id, execution):
                    effects.doubt(tx, execution.id)
                else:
                    effects.undo(tx, execution.id)


def _went_out(tx: Tx, box: BoxId, execution: ToolExecution) -> bool:
    began = execution.started_at
    if execution.tool not in ("bash", SET_UP) or began is None:
        return False
    return egress.may_have_changed(tx.connection, execution.run_id, box, began)
