"""The act of `spawn`: a subrun stands in the records, and its end is the call's result."""

from collections.abc import Callable
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import Connection

from capabilities.spawn import SPAWN, SpawnOrder, limits_within, spawn_order
from protocol.block import InputDraft, TextPart
from protocol.capability import CapabilitySnapshot
from protocol.effect import EffectRow
from protocol.errors import Refused
from protocol.ids import RunId, derived
from protocol.label import Label
from protocol.run import LimitsPatch, Run, RunRequest, TargetChoice
from protocol.tool import ToolExecution
from records import effects, runs, snapshots, subruns, taints, tool_executions
from records.database import Database
from records.run_record import RunRecord
from records.runs import NewRun
from records.tx import Tx
from records.writer import Writer
from worker.act import Delegated, Doing, Prepared, Result, cut, failure
from worker.inflight import Stopped
from worker.untrusted import framed

_LABELS: TypeAdapter[tuple[Label, ...]] = TypeAdapter(tuple[Label, ...])
_ENDS = {"completed": "completed", "failed": "failed", "cancelled": "was cancelled", "timed_out": "timed out"}


class Spawning:
    """`spawn`. Its effect has its outcome when the subrun is there; the call has its own when that ends."""

    def __init__(self, database: Database, writer: Writer, priced: Callable[[str], bool]) -> None:
        self._database = database
        self._writer = writer
        self._priced = priced

    async def prepare(self, doing: Doing) -> Prepared:
        order = spawn_order(doing.execution.arguments)
        document = doing.snapshot.document
        if document.subruns is None:
            raise Refused("subrun.depth", "no run below this one is allowed")
        if order.workspace and document.target is None:
            raise Refused("subrun.place", "workspace: this run has none to copy")
        return Prepared()

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result | Delegated:
        """Under the lock of the run that spawns: one that has ended, or was interrupted, makes no subrun."""
        execution, levels = doing.execution, doing.snapshot.document.subruns
        order = spawn_order(execution.arguments)
        parent = await self._database.read(lambda connection: runs.load(connection, execution.run_id))
        assert parent is not None
        assert levels is not None
        if order.limits.max_cost_usd and not self._priced(parent.run.model):
            return failure(f"subrun.unpriced: limits.max_cost_usd: {parent.run.model!r} has no known price")
        new = _new(doing, order, parent)

        def unit(tx: Tx) -> Result | Delegated | None:
            if not _holds(tx, execution, attempt):
                return None
            open_now = len(subruns.open_children(tx.connection, parent.run.id))
            if open_now >= levels.fan_out:
                return failure(f"subrun.fan_out: {open_now} subruns are at work; wait until one has ended")
            if not subruns.begin(tx, parent, execution, attempt, new):
                return failure("session.paused: the session takes no new runs until it is resumed")
            return Delegated(child_run_id=new.id)

        made = await self._writer.commit(unit, runs=[parent.run.id])
        if made is None:
            raise Stopped
        return made

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        return None

    async def halt(self, doing: Doing) -> None:
        """The subrun is stopped with the step or the run that spawned it."""

    async def result(self, child: RunId) -> Result | None:
        """What a subrun came to, with where it is from; None while it is at work."""
        return await self._database.read(lambda connection: _came_to(connection, child))


def subrun_of(execution: ToolExecution, effect: EffectRow | None) -> RunId | None:
    """The subrun that a call waits for."""
    result = effect.result if effect is not None and effect.state == "succeeded" else None
    child = (result or {}).get("child_run_id")
    return RunId(child) if execution.tool == SPAWN and isinstance(child, str) else None


def _holds(tx: Tx, execution: ToolExecution, epoch: int) -> bool:
    """Whether the claim is still the one under which a subrun may be made."""
    row = effects.get(tx.connection, execution.id)
    now = tool_executions.get(tx.connection, execution.id)
    claimed = row is not None and (row.state, row.epoch) == ("claimed", epoch)
    return claimed and now is not None and now.status == "claimed" and not tx.ended(execution.run_id)


def _new(doing: Doing, order: SpawnOrder, parent: RunRecord) -> NewRun:
    """In the session and for the principal of its parent, with a history of its own."""
    run = parent.run
    limits = limits_within(run.limits, order.limits)
    request = RunRequest(
        input=order.task,
        model=run.model,
        context="stateless",
        harness=run.harness,
        target=_copied(run.target) if order.workspace else None,
        capabilities=order.capabilities,
        limits=LimitsPatch(**limits.model_dump()),
        safety=parent.request.safety,
    )
    return NewRun(
        id=RunId(derived("run_", doing.execution.id, 0)),
        tenant=parent.tenant,
        principal_id=parent.principal_id,
        session_id=run.session_id,
        request=request,
        model=run.model,
        limits=limits,
        blocks=(InputDraft(content=(TextPart(text=order.task),)),),
        instructions=parent.instructions,
        parent_run_id=run.id,
        ancestor_run_ids=(*run.ancestor_run_ids, run.id),
    )


def _copied(target: TargetChoice | None) -> TargetChoice | None:
    """The same target by name; its repository comes with the work tree that is copied."""
    return target.model_copy(update={"repo": None}) if target else None


def _came_to(connection: Connection, child: RunId) -> Result | None:
    record = runs.load(connection, child)
    if record is None or not record.ended:
        return None
    named = record.run.capability_snapshot_id
    snapshot = snapshots.load(connection, named) if named else None
    labels = _LABELS.validate_python(taints.of_history(connection, record.history))
    said = cut(_told(record.run, snapshot, labels))
    is_error = record.run.status != "completed"
    return Result(text=said, is_error=is_error, outcome="failed" if is_error else "succeeded", labels=labels)


def _told(run: Run, snapshot: CapabilitySnapshot | None, labels: tuple[Label, ...]) -> str:
    how = _ENDS[run.status] + (f" ({run.stop_reason})" if run.stop_reason else "")
    facts: dict[str, Any] = {
        "steps": run.step_count,
        "tokens": run.usage.total,
        "snapshot": snapshot.digest if snapshot else None,
        "labels": " and ".join(labels) or None,
        "error": f"{run.error.code}: {run.error.message}" if run.error else None,
    }
    told = ", ".join(f"{name} {value}" for name, value in facts.items() if value is not None)
    words = run.output_text or "It said nothing."
    said = framed(f"the subrun {run.id}", words) if "untrusted" in labels else words
    return f"The subrun {run.id} {how}: {told}.\n\n{said}"
