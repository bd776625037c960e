"""What is said to a run: committed to its inbox with its event, answered, then the run is woken."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field, model_validator
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Runner
from gateway.admission import merged, refuse_assets
from gateway.answers import one
from gateway.bodies import Body, documented, read_body
from gateway.gateway import Gateway, Here
from gateway.idempotency import Made, scope_of
from gateway.names import run_named
from gateway.starts import inputs_of
from protocol.block import InputBlock, InputDraft
from protocol.errors import Conflict
from protocol.event import InputReceived
from protocol.ids import BlockId, RunId, fresh
from protocol.inbox import Cancel, Interrupt, InterruptBehavior, LimitsRaised, Message, Sent
from protocol.noun import Noun
from protocol.principal import Caller
from protocol.run import LimitsPatch, Run, RunStatus
from records import blocks, inbox, runs
from records.run_record import RunRecord
from records.tx import Tx

router = APIRouter(tags=["runs"])

Text = Annotated[str, Field(min_length=1)]


class InterruptBody(Noun):
    """Stop what the run does and go on; `behavior` is for the words of the model so far."""

    message: Text | None = None
    behavior: InterruptBehavior = "discard"


class SendBody(Noun):
    """Words that enter at the run's next step."""

    input: Text | None = None
    blocks: Annotated[tuple[InputDraft, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_input(self) -> "SendBody":
        if (self.input is None) == (self.blocks is None):
            raise ValueError("exactly one of `input` and `blocks` is needed")
        return self


class ResumeBody(Noun):
    limits: LimitsPatch


class CancelBody(Noun):
    reason: str | None = None


@router.post("/v1/runs/{run_id}:interrupt", response_model=Run, openapi_extra=documented("InterruptBody"))
async def interrupt_run(request: Request, here: Here, caller: Runner, run_id: str) -> Response:
    """Running tools are killed, open checkpoints cancelled, and the run goes on with the message, if any."""
    body = await read_body(request)
    asked = body.parse(InterruptBody)

    def words(tx: Tx, record: RunRecord) -> Message:
        drafts = inputs_of(asked.message, None) if asked.message is not None else ()
        block_id = next(iter(_keep(tx, record, drafts)), None)
        return Interrupt(behavior=asked.behavior, block_id=block_id)

    return await _say(request, here, caller, body, words)


@router.post("/v1/runs/{run_id}:send", response_model=Run, openapi_extra=documented("SendBody"))
async def send_to_run(request: Request, here: Here, caller: Runner, run_id: str) -> Response:
    body = await read_body(request)
    asked = body.parse(SendBody)
    refuse_assets(asked.blocks, "blocks")

    def words(tx: Tx, record: RunRecord) -> Message:
        kept = _keep(tx, record, inputs_of(asked.input, asked.blocks))
        for block_id in kept[:-1]:
            inbox.say(tx, record.run.id, Sent(block_id=block_id))
        return Sent(block_id=kept[-1])

    return await _say(request, here, caller, body, words)


@router.post("/v1/runs/{run_id}:resume", response_model=Run, openapi_extra=documented("ResumeBody"))
async def resume_run(request: Request, here: Here, caller: Runner, run_id: str) -> Response:
    """Go on under other limits."""
    body = await read_body(request)
    asked = body.parse(ResumeBody)

    def words(tx: Tx, record: RunRecord) -> Message:
        limits = merged(record.run.limits, asked.limits)
        here.admission.check_cost(record.run.model, limits)
        runs.set_limits(tx, record.run.id, limits)
        return LimitsRaised(limits=asked.limits)

    return await _say(request, here, caller, body, words)


@router.post(
    "/v1/runs/{run_id}:cancel", response_model=Run, openapi_extra=documented("CancelBody", required=False)
)
async def cancel_run(request: Request, here: Here, caller: Runner, run_id: str) -> Response:
    body = await read_body(request)
    asked = body.parse(CancelBody)
    return await _say(
        request, here, caller, body, lambda tx, record: Cancel(reason=asked.reason), over="cancelled"
    )


async def _say(
    request: Request,
    here: Gateway,
    caller: Caller,
    body: Body,
    words: Callable[[Tx, RunRecord], Message],
    *,
    over: RunStatus | None = None,
) -> Response:
    """`over` is how a run stands that has nothing left to be told."""
    name = str(request.path_params["run_id"])

    def unit(tx: Tx) -> Made[Run]:
        record = run_named(tx.connection, caller.tenant, name)
        if record.run.status == over:
            return Made(record.run.id, record.run)
        if record.ended:
            raise run_ended(record)
        inbox.say(tx, record.run.id, words(tx, record))
        told = run_named(tx.connection, caller.tenant, name)
        return Made(record.run.id, runs.with_last_seq(told, tx.last_seq(record.run.id)).run)

    done = await here.mutations.once(scope_of(request, caller), body, unit, runs=[RunId(name)])
    if done.value is not None:
        here.wakes.wake([RunId(done.resource_id)])
    run = done.value or await here.database.read(lambda c: run_named(c, caller.tenant, name).run)
    return one(run, done.status, done.headers)


def run_ended(record: RunRecord) -> Conflict:
    status = record.run.status
    return Conflict("run.ended", f"the run has ended: it is {status}", details={"status": status})


def _keep(tx: Tx, record: RunRecord, drafts: tuple[InputDraft, ...]) -> tuple[BlockId, ...]:
    """The words as blocks that wait to be entered, told to the stream."""
    if not drafts:
        return ()
    kept = tuple(
        InputBlock(
            id=BlockId(fresh("blk_")),
            session_id=record.run.session_id,
            run_id=record.run.id,
            created_at=tx.now,
            content=draft.content,
        )
        for draft in drafts
    )
    blocks.add(tx, record.history, kept, entered=False)
    tx.append(record.run.id, InputReceived(blocks=kept))
    return tuple(block.id for block in kept)
