"""Body of the model port: one activity per model call, each try an attempt that the stream tells apart.

Deltas are coalesced into the log under (call, attempt); what the turn came to is committed once, with its
blocks and the tool executions that it asks for.
"""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection
from temporalio import activity

from capabilities.budget import Busy
from capabilities.spawn import SPAWN
from harness import context
from harness.state import Ending, PendingCall
from protocol.block import ToolCallBlock
from protocol.budget import Amount
from protocol.errors import ErrorBody, ProviderUnavailable, Refused, Unavailable
from protocol.ids import BlockId, CallId, ToolExecutionId, derived
from protocol.model import Finish, ModelRequest, StreamError
from protocol.tool import ToolDefinition
from providers.registry import Registry, Resolved
from records import blocks, calls, runs, spending, steps, subruns, tool_executions
from records.database import Database
from records.run_record import RunRecord
from records.traces import span
from records.tx import Tx
from records.writer import Writer
from worker.failpoints import Failpoints
from worker.faults import ending_for, for_retry
from worker.heads import Heads
from worker.inflight import InFlight, Stopped, until_stopped
from worker.known_runs import KnownRun, KnownRuns
from worker.results import refuse_unread
from worker.safety import BLOCKED, Safety
from worker.spending import AGAIN_S, Governed, Held, Spending, check_price, estimate, spent
from worker.turn import Answer, Deltas, blocks_of, collect, failed
from workflows import ports
from workflows.messages import (
    ModelTurn,
    TurnAsked,
    TurnDone,
    TurnFailed,
    TurnOver,
    TurnResult,
    TurnStopped,
)
from workflows.options import MODEL_ATTEMPTS

_FINISHES: dict[str, Literal["end", "cut", "refused"]] = {
    "length": "cut",
    "context_overflow": "cut",
    "refusal": "refused",
    "content_filter": "refused",
}


class ModelCalls(ports.ModelCalls):
    """`call_model`: opens the step, streams the answer, commits the turn."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        known: KnownRuns,
        heads: Heads,
        registry: Registry,
        budgets: Spending,
        safety: Safety,
        inflight: InFlight,
        failpoints: Failpoints,
    ) -> None:
        self._database = database
        self._writer = writer
        self._known = known
        self._heads = heads
        self._registry = registry
        self._budgets = budgets
        self._safety = safety
        self._inflight = inflight
        self._failpoints = failpoints

    @activity.defn(name="call_model")
    async def call(self, turn: ModelTurn) -> TurnResult:
        with self._inflight.working(turn.run_id) as stop:
            try:
                return await until_stopped(self._call(turn), stop)
            except Stopped:
                return TurnStopped()
            except Unavailable as fault:
                raise for_retry(fault) from fault
            except Refused as fault:
                return TurnFailed(ending=ending_for(fault))

    async def _call(self, turn: ModelTurn) -> TurnResult:
        known = await self._known.get(turn.run_id)
        resolved = self._registry.resolve(known.record.run.model)
        call_id = CallId(derived("call_", turn.run_id, turn.step))
        if (await self._safety.inputs(known, turn.incoming)).disposition == "block":
            return TurnOver(ending=BLOCKED)
        watched = await self._safety.rules(known, "output")
        governed = await self._budgets.governing(known, call_id, resolved)
        opened = await self._begin(known, turn, call_id, resolved, governed)
        if opened is None:
            return await self._database.read(lambda connection: _committed(connection, known, turn, call_id))
        if not isinstance(opened, Begun):
            return opened
        attempt = opened.attempt
        if attempt > MODEL_ATTEMPTS:
            return await self._give_up(turn, call_id, attempt, None)
        with span("call", run_id=turn.run_id, call_id=call_id, model=resolved.name, attempt=attempt):
            deltas = Deltas(self._writer, turn.run_id, call_id, attempt, withhold=bool(watched))
            answer = await self._stream(resolved, opened, deltas)
        if isinstance(answer.ending, StreamError):
            if answer.ending.retryable and attempt < MODEL_ATTEMPTS:
                if governed is not None and not answer.ending.partial:
                    await self._writer.commit(lambda tx: spending.settle(tx, call_id, attempt, Amount()))
                delay = answer.ending.retry_after_ms
                raise ProviderUnavailable(
                    answer.ending.code, answer.ending.message, retry_after=delay / 1000 if delay else None
                )
            return await self._give_up(turn, call_id, attempt, answer.ending)
        found = await self._safety.output(known, watched, f"{call_id}:{attempt}", answer.text)
        if found.disposition == "block":
            return await self._withhold(turn, call_id, attempt, answer.ending)
        return await self._commit(turn, known.record, known.tools, call_id, attempt, answer)

    async def _begin(
        self, known: KnownRun, turn: ModelTurn, call_id: CallId, resolved: Resolved, governed: Governed | None
    ) -> "Begun | TurnAsked | TurnOver | None":
        """Under budgets the call is measured first, then paid for and begun in one transaction."""
        record, run_id = known.record, turn.run_id
        if governed is None:
            attempt = await self._writer.commit(
                lambda tx: _enter(tx, record, turn) and _open(tx, record, turn, call_id, resolved),
                runs=[run_id],
            )
            return Begun(attempt, await self._request(known, resolved)) if attempt else None
        check_price(governed, resolved)
        if not await self._writer.commit(lambda tx: _enter(tx, record, turn), runs=[run_id]):
            return None
        request = await self._request(known, resolved)
        size = estimate(request, resolved)

        def unit(tx: Tx) -> Begun | Busy | TurnAsked | TurnOver | None:
            number = None if tx.ended(run_id) else calls.next_attempt(tx, call_id)
            if number is None:
                return None
            held = self._budgets.reserve(tx, record, governed, call_id, number, size)
            if not isinstance(held, Held):
                return held
            attempt = _open(tx, record, turn, call_id, resolved)
            limited = request.model_copy(update={"max_output_tokens": held.output})
            return Begun(attempt, limited, held.seconds) if attempt else None

        opened = await self._writer.commit(unit, runs=[run_id])
        if isinstance(opened, Busy):
            message = "what is left of a budget is held by calls that are under way"
            raise Unavailable("quota.budget_held", message, retry_after=AGAIN_S)
        return opened

    async def _request(self, known: KnownRun, resolved: Resolved) -> ModelRequest:
        record = known.record
        return context.request_for(
            known.snapshot,
            await self._heads.read(record.history),
            wire_model=resolved.wire_model,
            own_instructions=record.instructions,
            limits=record.run.limits,
            json_schema=record.request.output.json_schema if record.request.output else None,
            cache_key=record.run.session_id,
        )

    async def _stream(self, resolved: Resolved, begun: "Begun", deltas: Deltas) -> Answer:
        try:
            async with (
                asyncio.timeout(begun.seconds),
                aclosing(resolved.provider.stream(begun.request, attempt=begun.attempt)) as stream,
            ):
                answer = await collect(stream, deltas)
            if isinstance(answer.ending, Finish):
                return answer.model_copy(update={"untold": await deltas.take()})
            return answer
        except TimeoutError:
            return failed(
                "quota.time_used", f"the budgets left {begun.seconds} s for the call: it took longer"
            )
        finally:
            await deltas.close()

    async def _give_up(
        self, turn: ModelTurn, call_id: CallId, attempt: int, error: StreamError | None
    ) -> TurnFailed:
        code = error.code if error else "provider.attempts_exhausted"
        message = error.message if error else f"the model call was tried {attempt - 1} times"
        body = ErrorBody(type="provider_error", code=code, message=message)

        def unit(tx: Tx) -> None:
            calls.fail(tx, call_id, attempt, body)
            if error is None or not error.partial:
                spending.settle(tx, call_id, attempt, Amount())

        await self._writer.commit(unit, runs=[turn.run_id])
        return TurnFailed(ending=Ending(status="failed", stop_reason="error", code=code, message=message))

    async def _withhold(self, turn: ModelTurn, call_id: CallId, attempt: int, finish: Finish) -> TurnOver:
        """The answer is blocked: it is paid for, and neither told nor kept."""
        body = ErrorBody(type="api_error", code="safety.policy_denied", message=BLOCKED.message or "")

        def unit(tx: Tx) -> None:
            calls.fail(tx, call_id, attempt, body)
            spending.settle(tx, call_id, attempt, spent(finish.usage, finish.cost_usd))
            if not tx.ended(turn.run_id):
                runs.advance(tx, turn.run_id, runs.Progress(usage=finish.usage, cost_usd=finish.cost_usd))

        await self._writer.commit(unit, runs=[turn.run_id])
        return TurnOver(ending=BLOCKED)

    async def _commit(
        self,
        turn: ModelTurn,
        record: RunRecord,
        tools: dict[str, ToolDefinition],
        call_id: CallId,
        attempt: int,
        answer: Answer,
    ) -> TurnResult:
        finish = answer.ending
        assert isinstance(finish, Finish)

        def unit(tx: Tx) -> tuple[PendingCall, ...] | TurnOver | None:
            result = calls.CallResult(
                usage=finish.usage,
                cost_usd=finish.cost_usd,
                ttft_ms=answer.ttft_ms,
                stop_reason=finish.reason,
            )
            if answer.untold:
                calls.append_deltas(tx, turn.run_id, call_id, attempt, answer.untold)
            if tx.ended(turn.run_id) or not calls.complete(tx, call_id, attempt, result):
                return None
            spending.settle(tx, call_id, attempt, spent(finish.usage, finish.cost_usd))
            parts = blocks_of(answer, record.run, call_id, tx.now)
            blocks.add(tx, record.history, parts)
            requested = [block for block in parts if isinstance(block, ToolCallBlock)]
            pending = tuple(
                _request(tx, record, turn.step, number, block, tools)
                for number, block in enumerate(requested)
            )
            progress = runs.Progress(
                steps=1,
                tools=len(pending),
                usage=finish.usage,
                cost_usd=finish.cost_usd,
                ttft_ms=answer.ttft_ms,
            )
            runs.advance(tx, turn.run_id, progress)
            if pending:
                steps.set_tools(tx, turn.run_id, turn.step, len(pending))
            else:
                steps.complete(tx, turn.run_id, turn.step)
            return (_too_many(tx.connection, record, tools) if pending else None) or pending

        pending = await self._writer.commit(unit, runs=[turn.run_id])
        self._failpoints.reach("before_completion", "call_model")
        if pending is None:
            return TurnStopped()
        if isinstance(pending, TurnOver):
            return pending
        return TurnDone(
            calls=pending,
            tokens=finish.usage.total,
            cost_usd=finish.cost_usd or 0.0,
            finish=_FINISHES.get(finish.reason, "end"),
        )


@dataclass(frozen=True)
class Begun:
    """An attempt that may speak, what it is to be asked, and how long it may take where a budget says so."""

    attempt: int
    request: ModelRequest
    seconds: float | None = None


def _enter(tx: Tx, record: RunRecord, turn: ModelTurn) -> bool:
    """What was said before this turn is behind it; false where the run has ended meanwhile."""
    if tx.ended(turn.run_id):
        return False
    if turn.completes is not None:
        steps.complete(tx, turn.run_id, turn.completes)
    blocks.enter(tx, record.history, [BlockId(block) for block in turn.incoming])
    return True


def _open(tx: Tx, record: RunRecord, turn: ModelTurn, call_id: CallId, resolved: Resolved) -> int | None:
    """The number of the attempt that begins; None where the call has its answer."""
    run_id = turn.run_id
    steps.start(tx, run_id, turn.step, call_id)
    new = calls.NewCall(
        id=call_id,
        tenant=record.tenant,
        session_id=record.run.session_id,
        run_id=run_id,
        step=turn.step,
        model=record.run.model,
        resolved_model=resolved.name,
    )
    if calls.create(tx, new) and turn.step == 1:
        runs.set_model_facts(tx, run_id, primary_resolved_model=resolved.name)
    return calls.start_attempt(tx, call_id)


def _too_many(connection: Connection, record: RunRecord, tools: dict[str, ToolDefinition]) -> TurnOver | None:
    """The end of a run whose tree asks for more tool calls than it may make; where there is no tree, the
    story itself counts."""
    in_tree = record.run.parent_run_id is not None or SPAWN in tools
    if in_tree and subruns.are_tools_passed(connection, record):
        return TurnOver(ending=Ending(status="completed", stop_reason="max_tool_calls"))
    return None


def _committed(connection: Connection, known: KnownRun, turn: ModelTurn, call_id: CallId) -> TurnResult:
    """What a former try committed and died before it could report."""
    call = calls.load(connection, call_id)
    if call is None or call.status != "completed" or call.usage is None:
        return TurnStopped()
    pending = tuple(
        PendingCall(
            tool_execution_id=execution.id,
            source=execution.source,
            effect=execution.effect,
            phase="ready" if execution.status == "requested" else "done",
        )
        for execution in tool_executions.list_executions(connection, turn.run_id, step=turn.step)
    )
    over = _too_many(connection, known.record, known.tools) if pending else None
    return over or TurnDone(
        calls=pending,
        tokens=call.usage.total,
        cost_usd=call.cost_usd or 0.0,
        finish=_FINISHES.get(call.stop_reason or "", "end"),
    )


def _request(
    tx: Tx,
    record: RunRecord,
    step: int,
    ordinal: int,
    block: ToolCallBlock,
    tools: dict[str, ToolDefinition],
) -> PendingCall:
    definition = tools.get(block.name)
    source = definition.source if definition else "native"
    effect = definition.effect if definition else "unknown"
    execution = tool_executions.NewToolExecution(
        id=ToolExecutionId(derived("tool_", block.call_id or "", ordinal)),
        run_id=record.run.id,
        session_id=record.run.session_id,
        step=step,
        ordinal=ordinal,
        tool_call_id=block.tool_call_id,
        tool=block.name,
        source=source,
        effect=effect,
        arguments=block.arguments,
    )
    tool_executions.request(tx, execution)
    pending = PendingCall(tool_execution_id=execution.id, source=source, effect=effect)
    if block.arguments_state in ("ok", "empty"):
        return pending
    refuse_unread(tx, record, execution, block)
    return pending.model_copy(update={"phase": "done"})
