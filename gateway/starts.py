"""The beginning of a run: its intent is committed, its workflow started, then it is queued or abandoned."""

import time

from starlette.requests import Request

from gateway.admission import Admission
from gateway.bodies import Body
from gateway.engine import Engine
from gateway.idempotency import Done, Made, Mutations, in_progress, scope_of
from gateway.metrics import Metrics
from gateway.names import session_named
from gateway.rules import Rules
from protocol.block import InputDraft, TextPart
from protocol.errors import Conflict, ErrorBody, InvalidRequest, RateLimited, Unavailable
from protocol.ids import RunId, SessionId, fresh
from protocol.principal import Caller
from protocol.run import RunRequest
from protocol.session import Session, SessionDefaults, SessionRequest
from records import budgets, idempotency, run_end, runs, sessions
from records.database import Database
from records.idempotency import Scope
from records.logs import logger
from records.run_record import RunRecord
from records.tx import Tx
from records.writer import Writer

COUNT_AGAIN_S = 1.0


class Starts:
    """Begins runs. A 2xx means that the run will be carried out, a 503 that repeating is safe."""

    def __init__(
        self,
        database: Database,
        writer: Writer,
        engine: Engine,
        admission: Admission,
        rules: Rules,
        metrics: Metrics,
        *,
        declared: budgets.Declared,
        most_open: int,
    ) -> None:
        self._database = database
        self._writer = writer
        self._engine = engine
        self._admission = admission
        self._rules = rules
        self._metrics = metrics
        self._mutations = Mutations(writer)
        self._declared = declared
        self._most_open = most_open
        self._open, self._counted_at = 0, float("-inf")
        self._log = logger("gateway")

    async def begin(self, request: Request, caller: Caller, body: Body) -> Done[RunRecord]:
        asked = _request_in(body)
        scope = scope_of(request, caller)
        run_id = RunId(fresh("run_"))
        await self._make_sure_of_room()
        done = await self._mutations.once(scope, body, lambda tx: self._intend(tx, caller, asked, run_id))
        if done.value is not None:
            await self._start(run_id, scope)
        return done

    def _intend(self, tx: Tx, caller: Caller, asked: RunRequest, run_id: RunId) -> Made[RunRecord]:
        session = _session(tx, caller, asked)
        defaults = session.defaults if session is not None else SessionDefaults()
        admitted = self._admission.admit(asked, defaults, run_id)
        if session is None:
            made = sessions.create(tx, caller.tenant, SessionId(fresh("sess_")), SessionRequest())
            session = made.session
        governing = budgets.governing(tx.connection, caller.tenant, session.actor_id, self._declared)
        self._admission.check_price(admitted.model, governing)
        self._rules.check(tx.connection, caller, session, admitted)
        new = runs.NewRun(
            id=run_id,
            tenant=caller.tenant,
            principal_id=caller.principal_id,
            session_id=session.id,
            request=admitted.request,
            model=admitted.model,
            limits=admitted.limits,
            blocks=inputs_of(asked.input, asked.blocks),
            instructions=session.instructions,
        )
        match runs.create(tx, new):
            case runs.Created(record=record):
                return Made(run_id, record, 201)
            case runs.SessionBusy(run_id=holder):
                message = f"the session's run {holder} has not ended"
                raise Conflict("session.busy", message, param="session_id", details={"run_id": holder})
            case runs.SessionPaused():
                message = "the session is paused: it takes no new runs until it is resumed"
                raise Conflict("session.paused", message, param="session_id")

    async def _start(self, run_id: RunId, scope: Scope | None) -> None:
        try:
            await self._engine.start(run_id)
        except Unavailable as fault:
            error = fault.body()
            abandoned = await self._writer.commit(
                lambda tx: _abandon(tx, run_id, scope, error), runs=[run_id]
            )
            if abandoned:
                raise
        self._metrics.runs.inc()
        self._open += 1
        self._log.info("run begun", run_id=run_id)
        try:
            await self._writer.commit(lambda tx: runs.mark_queued(tx, run_id), runs=[run_id])
        except Unavailable as fault:
            # its workflow has begun, and claims it from `starting` just as well
            self._log.warning("run not marked as queued", run_id=run_id, reason=fault.message)

    async def _make_sure_of_room(self) -> None:
        if time.monotonic() - self._counted_at > COUNT_AGAIN_S:
            self._counted_at = time.monotonic()
            self._open = await self._database.read(runs.count_open)
        if self._open >= self._most_open:
            self._metrics.refused.labels("quota.open_runs").inc()
            message = f"{self._most_open} runs are open; wait until some have ended"
            raise RateLimited("quota.open_runs", message, retry_after=5)


def replayed(done: Done[RunRecord], record: RunRecord) -> RunRecord:
    """The run of an earlier request, once that request can have been answered."""
    if done.value is None and record.starting:
        raise in_progress()
    return record


def inputs_of(text: str | None, blocks: tuple[InputDraft, ...] | None) -> tuple[InputDraft, ...]:
    return blocks or (InputDraft(content=(TextPart(text=text or ""),)),)


def _request_in(body: Body) -> RunRequest:
    if isinstance(body.value, dict) and "request" in body.value:
        message = "request: the older shape of this body is not supported here"
        raise InvalidRequest("capability.unsupported", message, param="request")
    return body.parse(RunRequest)


def _session(tx: Tx, caller: Caller, asked: RunRequest) -> Session | None:
    if asked.session_id is None:
        return None
    return session_named(tx.connection, caller.tenant, asked.session_id, param="session_id")


def _abandon(tx: Tx, run_id: RunId, scope: Scope | None, error: ErrorBody) -> bool:
    """False where the workflow was begun after all and has claimed the run."""
    if not run_end.abandon(tx, run_id, error):
        return False
    if scope is not None:
        idempotency.withdraw(tx, scope, run_id)
    return True
