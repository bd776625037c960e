"""How a tool call comes to wait for somebody: a checkpoint, opened in the transaction that parks the call."""

from capabilities.gate import Ask
from capabilities.render import undo
from capabilities.visible import written
from protocol.checkpoint import Checkpoint, CheckpointKind, Envelope, Required
from protocol.digest import digest
from protocol.ids import CheckpointId, derived
from protocol.noun import rfc3339
from protocol.receipt import Ruling
from protocol.tool import ToolExecution
from records import checkpoints, effects, receipts, tool_executions
from records.checkpoints import NewCheckpoint
from records.effects import Intent
from records.tx import Tx
from records.writer import Writer
from worker.act import Doing, Inquiry, Prepared
from worker.known_runs import KnownRun
from workflows.messages import ActAsked, ActStopped


class Asking:
    """Opens checkpoints. Their ids are derived, so that a retried activity opens the same one again."""

    def __init__(self, writer: Writer, expires_in_s: int) -> None:
        self._writer = writer
        self._expires_in_ms = expires_in_s * 1000

    async def approval(
        self, known: KnownRun, doing: Doing, prepared: Prepared, envelope: Envelope, ask: Ask, view: str
    ) -> ActAsked | ActStopped:
        """Somebody must agree to exactly this act."""
        envelope_digest = digest(envelope)
        execution = doing.execution
        new = self._new(
            known,
            execution,
            "approval",
            rendered=view,
            rule=ask.rule,
            distinct=f"{envelope_digest} {execution.edits}",
        ).model_copy(
            update={"envelope": envelope, "envelope_digest": envelope_digest, "required": ask.required}
        )
        intent = Intent(
            tool_execution_id=execution.id,
            run_id=execution.run_id,
            effect=execution.effect,
            envelope_digest=envelope_digest,
            prepared=prepared.model_dump(mode="json"),
        )
        return await self._park(execution, new, ask.ruling, intent)

    async def client_tool(
        self, known: KnownRun, doing: Doing, ruling: Ruling | None
    ) -> ActAsked | ActStopped:
        """The application itself runs this tool; its own time limit is the deadline."""
        execution = doing.execution
        rendered = f"The application runs {written(execution.tool)} and submits the result."
        new = self._new(known, execution, "client_tool", rendered=rendered, rule=None)
        new = new.model_copy(update={"expires_in_ms": doing.timeout_ms})
        return await self._park(execution, new, ruling)

    async def question(self, known: KnownRun, doing: Doing, ruling: Ruling | None) -> ActAsked | ActStopped:
        execution = doing.execution
        arguments = execution.arguments
        rendered = written(str(arguments.get("question", "")))
        options = arguments.get("options")
        if isinstance(options, list):
            rendered += "".join(f"\n- {written(str(option))}" for option in options)
        new = self._new(known, execution, "question", rendered=rendered, rule=None)
        return await self._park(execution, new, ruling)

    async def inquiry(
        self, known: KnownRun, doing: Doing, epoch: int, inquiry: Inquiry
    ) -> ActAsked | ActStopped:
        """An act asks in its middle, and what it needs to go on is kept with its claim."""
        execution = doing.execution
        prepared = inquiry.prepared.model_dump(mode="json", exclude_defaults=True)
        mark = f"{epoch} {digest(prepared)}"
        new = self._new(
            known, execution, "question", rendered=inquiry.rendered, rule=inquiry.rule, distinct=mark
        )
        expires_in_ms = min(self._expires_in_ms, inquiry.expires_in_ms or self._expires_in_ms)
        new = new.model_copy(update={"arguments": inquiry.subject, "expires_in_ms": expires_in_ms})

        def unit(tx: Tx) -> Checkpoint | None:
            if not effects.keep(tx, execution.id, epoch, prepared):
                return None
            return self._open(tx, execution, new)

        return _asked(await self._writer.commit(unit, runs=[execution.run_id]))

    async def outcome_unknown(self, known: KnownRun, doing: Doing, epoch: int) -> ActAsked | ActStopped:
        """A crash left an effect without an outcome, and nobody but a person can find out."""
        execution = doing.execution
        rendered = (
            f"{written(execution.tool)} was begun and what became of it is not known. It will not be "
            "repeated by itself.\nLook at what it acts on, then answer with succeeded, failed or retry."
        )
        compensation = doing.grant.definition.compensation
        if compensation is not None:
            rendered = "\n".join((rendered, *undo(compensation)))
        new = self._new(
            known,
            execution,
            "outcome_unknown",
            rendered=rendered,
            rule="effect.outcome_unknown",
            distinct=epoch,
        )

        def unit(tx: Tx) -> Checkpoint | None:
            if not effects.settle(tx, execution.id, epoch, "unknown", None):
                return None
            return self._open(tx, execution, new.model_copy(update={"required": _as_approved(tx, execution)}))

        return _asked(await self._writer.commit(unit, runs=[execution.run_id]))

    async def _park(
        self,
        execution: ToolExecution,
        new: NewCheckpoint,
        ruling: Ruling | None,
        intent: Intent | None = None,
    ) -> ActAsked | ActStopped:
        def unit(tx: Tx) -> Checkpoint | None:
            if intent is not None:
                effects.intend(tx, intent)
            receipts.ruled(tx, execution.run_id, execution.id, ruling)
            return self._open(tx, execution, new)

        return _asked(await self._writer.commit(unit, runs=[execution.run_id]))

    def _open(self, tx: Tx, execution: ToolExecution, new: NewCheckpoint) -> Checkpoint | None:
        if not tool_executions.wait(tx, execution.id, new.id):
            return None
        return checkpoints.open_checkpoint(tx, new)

    def _new(
        self,
        known: KnownRun,
        execution: ToolExecution,
        kind: CheckpointKind,
        *,
        rendered: str,
        rule: str | None,
        distinct: str | int = "",
    ) -> NewCheckpoint:
        record = known.record
        return NewCheckpoint(
            id=CheckpointId(derived("ckpt_", execution.id, 0, kind, distinct)),
            tenant=record.tenant,
            run_id=execution.run_id,
            ancestor_run_ids=record.run.ancestor_run_ids,
            session_id=execution.session_id,
            kind=kind,
            tool=execution.tool,
            tool_execution_id=execution.id,
            arguments=execution.arguments,
            rendered=rendered,
            rule=rule,
            requested_by=record.principal_id,
            expires_in_ms=self._expires_in_ms,
        )


def _as_approved(tx: Tx, execution: ToolExecution) -> Required:
    """Whoever may say that an act is to be tried again is one who might have approved it."""
    named = execution.checkpoint_id
    before = checkpoints.load(tx.connection, named) if named else None
    return before.required.model_copy(update={"count": 1}) if before else Required()


def _asked(checkpoint: Checkpoint | None) -> ActAsked | ActStopped:
    if checkpoint is None:
        return ActStopped()
    return ActAsked(checkpoint_id=checkpoint.id, expires_at=rfc3339(checkpoint.expires_at))
