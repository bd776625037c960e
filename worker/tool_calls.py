"""Body of the tool ports: prepare, gate, claim, act, commit; and what is spent of a checkpoint's answer.

An effect is claimed in the transaction that spends its authorization, and told in the one that settles it.
What a crash left in between is decided by the effect's class (design 6): read again, repeat with our key,
re-attach, probe, or ask a person.
"""

import asyncio
import time
from dataclasses import replace

from temporalio import activity

from capabilities.gate import Allow, Ask, Deny
from capabilities.labels import LabelTable
from protocol.checkpoint import Checkpoint, Envelope
from protocol.digest import digest
from protocol.effect import AlreadySettled, Claim, Claimed, ClaimLost
from protocol.errors import Refused, TargetLost, Unavailable
from protocol.mcp import ELICITATION
from protocol.noun import JSONObject
from protocol.tool import ToolExecution
from records import checkpoints, effects, receipts, runs, tool_executions
from records.effects import Intent
from records.traces import span
from records.tx import Tx
from records.writer import Writer
from worker.act import Act, Delegated, Doing, Inquiry, Prepared, Result, failure
from worker.asking import Asking
from worker.failpoints import Failpoints
from worker.faults import for_good, for_retry
from worker.gatekeeper import Gatekeeper
from worker.inflight import InFlight, Stopped, until_stopped
from worker.inquiries import ANSWERED, Inquiries, Told, anew
from worker.known_runs import KnownRun, KnownRuns, Standing
from worker.results import Results, already
from worker.safety import Safety
from worker.subruns import Spawning, subrun_of
from worker.workbench import Workbench
from workflows import ports
from workflows.messages import (
    ActAsked,
    ActDone,
    ActLost,
    ActResult,
    ActSpawned,
    ActStopped,
    ToolAct,
    ToolRedeem,
)

STOPPABLE = frozenset({"read_only", "workspace"})
"""Classes whose work a stop kills; a write to the outside is finished first, then the stop is told."""


class ToolCalls(ports.ToolCalls):
    """`act` and `redeem`."""

    def __init__(
        self,
        writer: Writer,
        known: KnownRuns,
        gatekeeper: Gatekeeper,
        workbench: Workbench,
        inflight: InFlight,
        asking: Asking,
        labels: LabelTable,
        safety: Safety,
        spawning: Spawning,
        failpoints: Failpoints,
    ) -> None:
        self._writer = writer
        self._spawning = spawning
        self._safety = safety
        self._known = known
        self._gatekeeper = gatekeeper
        self._workbench = workbench
        self._inflight = inflight
        self._asking = asking
        self._inquiries = Inquiries(asking)
        self._failpoints = failpoints
        self._results = Results(writer, labels, safety, failpoints)

    @activity.defn(name="act")
    async def act(self, order: ToolAct) -> ActResult:
        return await self._guarded(order)

    @activity.defn(name="redeem")
    async def redeem(self, order: ToolRedeem) -> ActResult:
        return await self._guarded(order)

    async def _guarded(self, order: ToolAct) -> ActResult:
        with (
            self._inflight.working(order.run_id) as stop,
            span("tool", run_id=order.run_id, tool_execution_id=order.tool_execution_id),
        ):
            try:
                known = await self._known.get(order.run_id)
                asked = order.checkpoint_id if isinstance(order, ToolRedeem) else None
                found = await self._known.standing(known, order.tool_execution_id, asked)
                standing = replace(found, alone=order.alone)
                return await self._carry(known, standing, stop, asked is not None)
            except Stopped:
                return ActStopped()
            except TargetLost:
                return ActLost()
            except Unavailable as fault:
                raise for_retry(fault) from fault
            except Refused as fault:
                raise for_good(fault) from fault

    async def _carry(
        self, known: KnownRun, standing: Standing, stop: asyncio.Event, redeeming: bool
    ) -> ActResult:
        execution = standing.execution
        if execution.status in ("completed", "denied", "cancelled"):
            return already(execution)
        child = subrun_of(execution, standing.effect)
        if child is not None:
            came_to = await self._spawning.result(child)
            if came_to is None:
                return ActSpawned(child_run_id=child)
            return await self._results.settle(known, execution, None, came_to)
        answered = redeeming and execution.checkpoint_id is not None  # it names none after an edit
        asked = answered or execution.status == "waiting" or _is_undone(standing)
        if asked and standing.checkpoint is not None:
            return await self._answered(known, standing, standing.checkpoint, stop)
        if standing.effect is not None and standing.effect.state == "claimed":
            return await self._do(known, standing, standing.prepared or Prepared(), None, stop)
        if standing.effect is not None and standing.effect.state == "unknown":  # lost with its box
            return await self._asking.outcome_unknown(
                known, _doing(known, execution, None), standing.effect.epoch
            )
        return await self._begin(known, standing, stop)

    async def _begin(self, known: KnownRun, standing: Standing, stop: asyncio.Event) -> ActResult:
        execution = standing.execution
        unfit = self._gatekeeper.unfit(known, execution)
        if unfit is not None:
            return await self._results.settle(known, execution, None, failure(unfit))
        definition = await self._gatekeeper.digest_now(known, execution)
        verdict = await self._gatekeeper.decide(known, standing, definition)
        if not isinstance(verdict, Deny):
            verdict = await self._safety.tightened(known, execution, verdict)
        if isinstance(verdict, Deny):
            return await self._results.deny(known, execution, verdict)
        doing = _doing(known, execution, definition)
        if not isinstance(verdict, Ask):
            if execution.source == "client":
                return await self._asking.client_tool(known, doing, verdict.ruling)
            if self._workbench.is_question(execution):
                return await self._asking.question(known, doing, verdict.ruling)
        try:
            act = self._workbench.act_for(known, execution)
            exact = doing.model_copy(update={"asked": isinstance(verdict, Ask)})
            prepared = await until_stopped(act.prepare(exact), stop)
        except TargetLost:
            raise
        except Refused as refused:
            return await self._results.settle(known, execution, None, failure(_words(refused)))
        if isinstance(verdict, Ask):
            envelope = self._gatekeeper.envelope(known, doing, prepared)
            view = self._workbench.view(doing, envelope, prepared)
            asked = await self._asking.approval(known, doing, prepared, envelope, verdict, view)
            self._failpoints.reach("during_approval", execution.tool)
            return asked
        return await self._do(known, standing, prepared, verdict, stop)

    async def _answered(
        self, known: KnownRun, standing: Standing, checkpoint: Checkpoint, stop: asyncio.Event
    ) -> ActResult:
        """Spend the answer of a resolved checkpoint."""
        execution = standing.execution
        if checkpoint.status == "open":
            return _still(checkpoint)
        if checkpoint.status == "approved" and checkpoint.edited is not None:
            return await self._edited(known, execution, checkpoint, checkpoint.edited, stop)
        run_id = execution.run_id
        if checkpoint.status in ("approved", "redeemed") and execution.source != "client":
            prepared = standing.prepared or Prepared()
            return await self._do(known, standing, prepared, checkpoint, stop)
        await self._writer.commit(lambda tx: runs.set_running(tx, run_id), runs=[run_id])
        if checkpoint.rule == ELICITATION and checkpoint.status in ANSWERED:
            doing, act = _doing(known, execution, None), self._workbench.act_for(known, execution)
            told = await self._inquiries.told(known, standing, doing, act, checkpoint)
            if not isinstance(told, Told):
                return told
            return await self._do(known, standing, told.prepared, told, stop)
        match checkpoint.status:
            case "approved" | "redeemed":
                return await self._asking.client_tool(known, _doing(known, execution, None), None)
            case "answered" if checkpoint.kind == "outcome_unknown":
                return await self._resolved(known, standing, checkpoint, stop)
            case "answered":
                return await self._results.answer(known, execution, checkpoint, standing.submitted)
            case _:
                return await self._results.refuse(known, execution, checkpoint)

    async def _edited(
        self,
        known: KnownRun,
        execution: ToolExecution,
        checkpoint: Checkpoint,
        arguments: JSONObject,
        stop: asyncio.Event,
    ) -> ActResult:
        """A person changed the arguments. That authorizes nothing: the call goes its whole way anew, and
        where it asks again, somebody agrees to exactly the changed act."""

        def unit(tx: Tx) -> None:
            runs.set_running(tx, execution.run_id)
            if checkpoints.revoke(tx, checkpoint):
                tool_executions.edit(tx, execution.id, arguments)

        await self._writer.commit(unit, runs=[execution.run_id])
        self._failpoints.reach("after_edit", execution.tool)
        standing = await self._known.standing(known, execution.id, checkpoint.id)
        return await self._carry(known, standing, stop, redeeming=True)

    async def _resolved(
        self, known: KnownRun, standing: Standing, checkpoint: Checkpoint, stop: asyncio.Event
    ) -> ActResult:
        """A person told what became of an effect whose outcome was unknown."""
        execution = standing.execution
        answer = checkpoint.decisions[-1].answer if checkpoint.decisions else None
        resolution = answer.get("resolution") if isinstance(answer, dict) else None
        if resolution == "retry":
            await self._writer.commit(lambda tx: effects.reopen(tx, execution.id), runs=[execution.run_id])
            prepared = anew(self._workbench.act_for(known, execution), standing.prepared or Prepared())
            return await self._do(known, standing, prepared, None, stop)
        happened = resolution == "succeeded"
        result = Result(
            text="The outcome was not known; a person looked and says that the effect "
            + ("did happen." if happened else "did not happen."),
            is_error=not happened,
            outcome="succeeded" if happened else "failed",
            effect={"told_by": checkpoint.decisions[-1].by},
        )
        epoch = standing.effect.epoch if standing.effect else None
        return await self._results.settle(known, execution, epoch, result)

    async def _do(
        self,
        known: KnownRun,
        standing: Standing,
        prepared: Prepared,
        authority: Checkpoint | Allow | Told | None,
        stop: asyncio.Event,
    ) -> ActResult:
        """Claim and perform: the one way to an effect. `authority` is what allows it, None where that was
        told with an earlier claim."""
        execution = standing.execution
        doing = _doing(known, execution, await self._gatekeeper.digest_now(known, execution))
        act = self._workbench.act_for(known, execution)
        if _can_reattach(standing):
            assert standing.effect is not None
            return await self._perform(known, doing, act, prepared, standing.effect.epoch, stop)
        envelope = self._gatekeeper.envelope(known, doing, prepared)
        self._failpoints.reach("after_intent", execution.tool)
        claim = await self._claim(execution, envelope, prepared, authority)
        match claim:
            case ClaimLost(reason=reason):
                if reason == "the run has ended":
                    return ActStopped()
                return await self._results.settle(known, execution, None, failure(reason))
            case AlreadySettled(row=row):
                child = subrun_of(execution, row)
                return (
                    ActSpawned(child_run_id=child)
                    if child
                    else ActDone(wrote=execution.effect == "workspace")
                )
            case Claimed(epoch=epoch, again=again):
                self._failpoints.reach("after_claim", execution.tool)
                going_on = isinstance(authority, Told) and authority.goes_on
                if again and not going_on and execution.effect in ("non_idempotent_write", "unknown"):
                    return await self._after_crash(known, doing, act, prepared, epoch)
                return await self._perform(known, doing, act, prepared, epoch, stop)

    async def _claim(
        self,
        execution: ToolExecution,
        envelope: Envelope,
        prepared: Prepared,
        authority: Checkpoint | Allow | Told | None,
    ) -> Claim:
        approval = authority if isinstance(authority, Checkpoint) else None
        intent = Intent(
            tool_execution_id=execution.id,
            run_id=execution.run_id,
            effect=execution.effect,
            envelope_digest=digest(envelope),
            prepared=prepared.model_dump(mode="json", exclude_defaults=True),
        )

        def unit(tx: Tx) -> Claim:
            if approval is None:
                effects.intend(tx, intent)
            else:
                runs.set_running(tx, execution.run_id)
            if isinstance(authority, Allow):
                receipts.ruled(tx, execution.run_id, execution.id, authority.ruling)
            claim = effects.claim(
                tx,
                execution.id,
                envelope_digest=intent.envelope_digest,
                approval=approval.id if approval else None,
            )
            if isinstance(claim, Claimed):
                tool_executions.start(tx, execution.id)
                if isinstance(authority, Told):
                    effects.keep(tx, execution.id, claim.epoch, intent.prepared)
            return claim

        return await self._writer.commit(unit, runs=[execution.run_id])

    async def _perform(
        self, known: KnownRun, doing: Doing, act: Act, prepared: Prepared, epoch: int, stop: asyncio.Event
    ) -> ActResult:
        execution = doing.execution
        began = time.monotonic()
        work = act.perform(doing, prepared, epoch)
        try:
            result = await (until_stopped(work, stop) if execution.effect in STOPPABLE else work)
        except TargetLost:
            raise
        except Refused as refused:
            result = failure(_words(refused))
        except Stopped:
            await asyncio.shield(act.halt(doing))
            raise
        except asyncio.CancelledError:
            if _is_cancel_of_the_run():
                await asyncio.shield(act.halt(doing))
            raise
        self._failpoints.reach("after_effect", execution.tool)
        if isinstance(result, Delegated):
            return ActSpawned(child_run_id=result.child_run_id)
        if isinstance(result, Inquiry):
            return await self._asking.inquiry(known, doing, epoch, result)
        duration = round((time.monotonic() - began) * 1000)
        return await self._results.settle(known, execution, epoch, result, duration_ms=duration)

    async def _after_crash(
        self, known: KnownRun, doing: Doing, act: Act, prepared: Prepared, epoch: int
    ) -> ActResult:
        """An earlier claim of a write that must not happen twice: probe, or ask a person."""
        try:
            found = await act.probe(doing, prepared)
        except Refused:
            found = None
        if found is not None:
            return await self._results.settle(known, doing.execution, epoch, found)
        asked = await self._asking.outcome_unknown(known, doing, epoch)
        self._failpoints.reach("during_approval", f"{doing.execution.tool} outcome_unknown")
        return asked


def _doing(known: KnownRun, execution: ToolExecution, definition_digest: str | None) -> Doing:
    grant = known.snapshot.grant_for(execution.tool)
    if grant is None:
        raise Refused("capability.not_granted", f"{execution.tool!r} is not granted in this run")
    limit = grant.timeout_ms or known.record.run.limits.tool_timeout_ms
    return Doing(
        execution=execution,
        snapshot=known.snapshot,
        grant=grant,
        timeout_ms=limit,
        definition_digest=definition_digest,
    )


def _can_reattach(standing: Standing) -> bool:
    """A command in a box goes on without us: the claim stands, and nothing is counted anew."""
    effect, execution = standing.effect, standing.execution
    claimed = effect is not None and effect.state == "claimed" and execution.status == "claimed"
    return claimed and execution.effect == "workspace" and execution.source == "target"


def _is_undone(standing: Standing) -> bool:
    """What was agreed to and begun is lost with its box: the same act is made anew on what was spent."""
    effect, checkpoint = standing.effect, standing.checkpoint
    begun = effect is not None and effect.state == "intent" and effect.epoch > 0
    return begun and checkpoint is not None and checkpoint.status == "redeemed"


def _is_cancel_of_the_run() -> bool:
    """The workflow cancelled the activity; a worker that stops or was given up leaves the act to its heir."""
    details = activity.cancellation_details()
    return details is not None and details.cancel_requested


def _still(checkpoint: Checkpoint) -> ActAsked:
    return ActAsked(checkpoint_id=checkpoint.id, expires_at=checkpoint.expires_at.isoformat())


def _words(refused: Refused) -> str:
    return f"{refused.code}: {refused.message}"
