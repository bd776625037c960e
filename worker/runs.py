"""Bodies of the run's own ports: claimed and resolved, listening, waiting, interrupted, ended."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from temporalio import activity

from capabilities.branch import default_branch
from capabilities.inheritance import Inherited, within
from capabilities.placing import check_refusals, placing, refusals, spending
from capabilities.policy import Policy
from capabilities.policy_layers import Layers
from capabilities.receipts import Noted
from capabilities.resolve import ResolveRequest, resolve
from capabilities.signing import Signer
from capabilities.snapshot import seal
from capabilities.spawn import SPAWN
from capabilities.verdict import Asker
from harness.state import Ending, PendingCall, RunState
from protocol.capability import CapabilitySnapshot, RepositoryGrant, SnapshotDocument
from protocol.digest import canonical, digest
from protocol.errors import Refused, Unavailable
from protocol.event import CapabilityResolved, NameCount
from protocol.ids import RunId, SnapshotId, derived
from protocol.inbox import Cancel, Interrupt
from protocol.noun import rfc3339
from protocol.subrun import SubrunLimits, SubrunsEntry
from protocol.workspace import WorkspacePlan
from providers.registry import Registry
from records import (
    budgets,
    checkpoints,
    inbox,
    principals,
    project_policies,
    runs,
    snapshots,
    subruns,
    tool_executions,
)
from records.database import Database
from records.run_record import RunRecord
from records.traces import span
from records.tx import Tx
from records.writer import Writer
from targets.forge.forges import Forges
from worker import family
from worker.faults import ending_for, for_retry
from worker.heads import Heads
from worker.inflight import InFlight, Stopped, until_stopped
from worker.interrupts import take_up
from worker.known_runs import KnownRuns
from worker.lineage import inherited
from worker.plans import Plans
from worker.safety import Safety
from worker.setups import execution_of
from worker.shadow import Shadow
from worker.sources import Sources
from workflows import ports
from workflows.messages import (
    Expiry,
    ExpiryCheck,
    Heard,
    InterruptOrder,
    Listen,
    NotOpened,
    Opened,
    Opening,
    Pause,
    Resume,
    RunEnd,
    RunRef,
)

OPENING_TRIES = 4
"""How often a forge that does not answer is asked before the run fails."""


class Runs(ports.Runs):
    """Everything that happens to a run besides its steps."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        known: KnownRuns,
        heads: Heads,
        inflight: InFlight,
        forges: Forges,
        plans: Plans,
        authority: "Authority",
        idle_release_s: int,
    ) -> None:
        self._database = database
        self._writer = writer
        self._known = known
        self._heads = heads
        self._inflight = inflight
        self._forges = forges
        self._plans = plans
        self._authority = authority
        self._idle_release_s = idle_release_s
        self._behind: set[asyncio.Task[None]] = set()

    @activity.defn(name="open_run")
    async def open(self, ref: RunRef) -> Opening:
        record = await self._writer.commit(lambda tx: runs.claim(tx, ref.run_id), runs=[ref.run_id])
        if record is None:
            return NotOpened(ending=None)
        with self._inflight.working(ref.run_id) as stop, span("run", run_id=ref.run_id):
            try:
                repository = await until_stopped(self._repository(record), stop)
                plan = await until_stopped(self._plans.plan(record.run.target, repository), stop)
                parent = await self._parent(record)
            except Stopped:
                return NotOpened(ending=Ending(status="cancelled", stop_reason="cancelled"))
            except Unavailable as fault:
                if activity.info().attempt < OPENING_TRIES:
                    raise for_retry(fault) from fault
                return NotOpened(ending=ending_for(fault))
            except Refused as fault:
                return NotOpened(ending=ending_for(fault))
        try:
            await self._authority.resolve(self._database, self._writer, record, repository, plan, parent)
        except Refused as fault:
            return NotOpened(ending=ending_for(fault))
        has_target = record.run.target is not None
        state = RunState(run_id=ref.run_id, limits=record.run.limits, has_target=has_target)
        kept = (await self._known.get(ref.run_id)).snapshot.document.workspace
        if kept is not None and kept.setup:
            state = await self._begin_with(record, kept, state)
        said = record.inbox_last > record.inbox_heard
        return Opened(state=state, idle_release_s=self._idle_release_s, said=said)

    async def _begin_with(self, record: RunRecord, plan: WorkspacePlan, state: RunState) -> RunState:
        """The set-up is a tool call like any other, in a step before the first that no model has begun."""
        new = execution_of(record, plan)
        await self._writer.commit(lambda tx: tool_executions.request(tx, new), runs=[record.run.id])
        call = PendingCall(tool_execution_id=new.id, source=new.source, effect=new.effect)
        return state.model_copy(update={"open_step": new.step, "calls": (call,)})

    @activity.defn(name="listen")
    async def listen(self, order: Listen) -> Heard:
        """What was said since. Who works for the run looks for stops that it has not heard, so a stop is
        acknowledged before it is heard; all else behind it, and again after the wake-up of a sweep."""
        items = await self._database.read(
            lambda connection: inbox.take(connection, order.run_id, order.after)
        )
        last = items[-1].position if items else order.after
        if any(isinstance(item.message, Cancel | Interrupt) for item in items):
            await self._acknowledge(order.run_id, last)
        else:
            task = asyncio.create_task(self._acknowledge_behind(order.run_id, last))
            self._behind.add(task)
            task.add_done_callback(self._behind.discard)
        return Heard(items=tuple(items))

    async def _acknowledge(self, run_id: RunId, position: int) -> None:
        await self._writer.commit(lambda tx: inbox.acknowledge(tx, run_id, position), runs=[run_id])

    async def _acknowledge_behind(self, run_id: RunId, position: int) -> None:
        with suppress(Unavailable):
            await self._acknowledge(run_id, position)

    @activity.defn(name="pause")
    async def pause(self, order: Pause) -> None:
        parent = order.parent_run_id

        def unit(tx: Tx) -> None:
            still_open = checkpoints.open_among(tx.connection, order.checkpoint_ids)
            if still_open:
                runs.set_waiting(tx, order.run_id, still_open)
            if still_open and parent:
                subruns.tell_waiting(tx, parent, order.run_id, still_open)

        await self._writer.commit(unit, runs=[order.run_id, *([parent] if parent else [])])

    @activity.defn(name="resume")
    async def resume(self, order: Resume) -> None:
        parent = order.parent_run_id

        def unit(tx: Tx) -> None:
            if not order.by_call:
                runs.set_running(tx, order.run_id)
            if parent:
                subruns.tell_waiting(tx, parent, order.run_id, ())

        await self._writer.commit(unit, runs=[order.run_id, *([parent] if parent else [])])

    @activity.defn(name="take_up_interrupt")
    async def take_up(self, order: InterruptOrder) -> None:
        record = await self._known.record(order.run_id)
        unit = partial(take_up, record=record, order=order)
        await family.stop_subruns(self._database, self._writer, record, unit)
        self._heads.forget(record.history)

    @activity.defn(name="expire_checkpoint")
    async def expire(self, order: ExpiryCheck) -> Expiry:
        """The mirror of a decision: a compare-and-set by the database's clock."""

        def unit(tx: Tx) -> Expiry:
            checkpoints.expire(tx, order.checkpoint_id)
            now = checkpoints.load(tx.connection, order.checkpoint_id)
            if now is None or now.status != "open":
                return Expiry(resolved=True)
            return Expiry(resolved=False, expires_at=rfc3339(now.expires_at))

        return await self._writer.commit(unit, runs=[order.run_id])

    @activity.defn(name="end_run")
    async def end(self, order: RunEnd) -> None:
        record = await self._known.record(order.run_id)
        await family.end(self._database, self._writer, record, order.ending)
        self._heads.forget(record.history)

    async def _parent(self, record: RunRecord) -> CapabilitySnapshot | None:
        """The authority above a subrun's, under a signature that is believed."""
        parent = record.run.parent_run_id
        return None if parent is None else (await self._known.get(parent)).snapshot

    async def _repository(self, record: RunRecord) -> RepositoryGrant | None:
        target = record.run.target
        if target is None:
            return None
        if target.repo is None:
            return await self._database.read(lambda connection: inherited(connection, record))
        forge = self._forges.resolve(target.repo.remote)
        base_commit = await forge.mirror.fetch(target.repo.base)
        return RepositoryGrant(
            forge=forge.name,
            repository=forge.repository,
            base_branch=target.repo.base,
            base_commit=base_commit,
            branch=target.repo.branch or default_branch(record.run.id),
        )


class Authority:
    """Resolves a run's capabilities once, seals them, and keeps the policy that they are pinned to. A subrun
    is decided under the version that its parent pins."""

    def __init__(
        self,
        sources: Sources,
        policy: Policy,
        shadow: Shadow,
        signer: Signer,
        safety: Safety,
        registry: Registry,
        pinned: Callable[[str], Awaitable[Policy]],
        levels: SubrunsEntry,
    ) -> None:
        self._safety = safety
        self._registry = registry
        self._pinned = pinned
        self._levels = SubrunLimits(depth=levels.max_depth, fan_out=levels.fan_out)
        self._sources = sources
        self._layers = Layers(policy)
        self._shadow = shadow
        self._signer = signer

    async def resolve(
        self,
        database: Database,
        writer: Writer,
        record: RunRecord,
        repository: RepositoryGrant | None,
        plan: WorkspacePlan | None,
        parent: CapabilitySnapshot | None,
    ) -> None:
        run = record.run
        if run.capability_snapshot_id is not None:
            await self._check_kept(database, run.capability_snapshot_id)
            return
        roles = await database.read(lambda c: principals.roles_of(c, record.principal_id))
        if parent is None:
            shelf = await self._sources.stock(record, record.request.capabilities)
            policy = await self._policy_of(database, record)
        else:
            shelf = Inherited(parent)
            policy = await self._pinned(parent.document.policy_digest)
        noted = Noted(policy)
        asker = Asker(id=record.principal_id, roles=roles, project=record.tenant.project_id)
        actor = await database.read(lambda c: budgets.actor_of(c, run.session_id))
        model = self._registry.resolve(run.model)
        questions = [spending(asker, model.name, run.limits, host=model.host, actor=actor)]
        if run.target is not None:
            questions.append(placing(asker, run.target, repository, actor=actor))
        refused = refusals(noted, questions)
        document = resolve(
            ResolveRequest(
                run_id=run.id,
                principal=asker,
                capabilities=record.request.capabilities,
                tools=record.request.tools,
                target=run.target,
                repository=repository,
                workspace=plan,
            ),
            shelf,
            noted,
        )
        denials = (*refused, *document.denials)
        document = document.model_copy(update={"model": model.name, "denials": denials})
        kept = {policy.digest: policy.document().decode()}
        if parent is None:
            profile = self._safety.profile_for(record)
            kept[digest(profile)] = canonical(profile).decode()
            document = self._with_levels(document.model_copy(update={"safety_profile": profile.version}))
        else:
            document = within(document, parent)

        def unit(tx: Tx) -> None:
            snapshot_id = SnapshotId(derived("capsnap_", run.id, 0))
            snapshot = seal(document, snapshot_id, tx.now, self._signer)
            for name, text in kept.items():
                snapshots.keep_policy(tx, name, text)
            if not snapshots.add(tx, record.tenant, snapshot, noted.asked):
                return
            runs.set_snapshot(tx, run.id, snapshot_id)
            told = CapabilityResolved(
                capability_snapshot_id=snapshot_id,
                digest=snapshot.digest,
                grants=_names(tuple(grant.name for grant in document.grants)),
                denials=_names(tuple(denial.name for denial in document.denials)),
                downgrades=_names(tuple(downgrade.name for downgrade in document.downgrades)),
            )
            tx.append(run.id, told, key="resolved")

        await writer.commit(unit, runs=[run.id])
        await self._shadow.compare(record, "", noted.asked)
        check_refusals(refused)

    async def _check_kept(self, database: Database, snapshot_id: SnapshotId) -> None:
        """A former try may have kept why the run is not to be carried out, and died before it said so."""
        kept = await database.read(lambda c: snapshots.load(c, snapshot_id))
        check_refusals(kept.document.denials if kept is not None else ())

    def _with_levels(self, document: SnapshotDocument) -> SnapshotDocument:
        spawns = any(grant.name == SPAWN for grant in document.grants)
        return document.model_copy(update={"subruns": self._levels if spawns else None})

    async def _policy_of(self, database: Database, record: RunRecord) -> Policy:
        """The rules of the installation, tightened by those that hold in the run's project now."""
        holding = await database.read(lambda c: project_policies.holding(c, record.tenant))
        return self._layers.over([(one.name, one.text) for one in holding])


def _names(names: tuple[str, ...]) -> NameCount:
    return NameCount(count=len(names), names=names)
