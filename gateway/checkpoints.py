"""Checkpoints as they are served: one queue of what waits for somebody, and what somebody says to it."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from capabilities.arguments import misfit
from capabilities.elicitation import answer_fault
from gateway.access import Decider, Reader
from gateway.answers import Listed, many, one
from gateway.bodies import Body, documented, read_body
from gateway.gateway import Gateway, Here
from gateway.idempotency import Made, scope_of
from gateway.names import checkpoint_named, run_named
from protocol.checkpoint import Checkpoint, CheckpointKind, CheckpointStatus
from protocol.errors import Conflict, Forbidden, Gone, InvalidRequest, NotFound, Refused
from protocol.ids import CheckpointId, RunId
from protocol.mcp import ELICITATION
from protocol.noun import JSON, JSONObject, Noun, rfc3339
from protocol.principal import Caller
from records import checkpoints, decisions, principals, snapshots
from records.decisions import Verdict
from records.paging import Page, PageRequest
from records.tx import Tx

router = APIRouter(tags=["checkpoints"])

AT_ONCE = 100
RESOLUTIONS = ("succeeded", "failed", "retry")


class CheckpointFilter(PageRequest):
    """Which checkpoints of the project are listed."""

    status: CheckpointStatus | None = None
    kind: CheckpointKind | None = None
    run_id: str | None = None


class DecisionBody(Noun):
    """What somebody says. `arguments` goes with approve, `answer` with answer, `expires_in_s` with defer."""

    decision: Literal["approve", "deny", "answer", "defer"]
    envelope_digest: str | None = None
    reason: Annotated[str, Field(max_length=10_000)] | None = None
    arguments: JSONObject | None = None
    answer: JSON = None
    expires_in_s: Annotated[int, Field(ge=1, le=366 * 24 * 3600)] | None = None


class RevokeBody(Noun):
    reason: Annotated[str, Field(max_length=10_000)] | None = None


class DecisionItem(Noun):
    """One of several, with the digest of what was shown of it."""

    id: str
    envelope_digest: str | None = None


class DecideAllBody(Noun):
    """One decision over listed acts: over all of them, or over none."""

    decision: Literal["approve", "deny"]
    reason: Annotated[str, Field(max_length=10_000)] | None = None
    items: Annotated[tuple[DecisionItem, ...], Field(min_length=1, max_length=AT_ONCE)]


class AllDecided(Noun):
    items: tuple[Checkpoint, ...]


@router.get("/v1/checkpoints", response_model=Listed[Checkpoint])
async def list_checkpoints(
    here: Here, caller: Reader, asked: Annotated[CheckpointFilter, Query()]
) -> Response:
    """With `status=open` the queue of what waits for somebody, subruns included."""

    def query(connection: Connection) -> Page[Checkpoint]:
        run = run_named(connection, caller.tenant, asked.run_id).run if asked.run_id else None
        return checkpoints.list_checkpoints(
            connection,
            caller.tenant,
            asked,
            status=asked.status,
            kind=asked.kind,
            run_id=run.id if run else None,
        )

    page = await here.database.read(query)
    here.checkpoints.shown(caller.tenant, page.items)
    return many(page)


@router.get("/v1/checkpoints/{checkpoint_id}", response_model=Checkpoint)
async def get_checkpoint(here: Here, caller: Reader, checkpoint_id: str) -> Response:
    found = await here.database.read(lambda c: checkpoint_named(c, caller.tenant, checkpoint_id))
    here.checkpoints.shown(caller.tenant, [found])
    return one(found)


@router.post(
    "/v1/checkpoints/{checkpoint_id}:decide",
    response_model=Checkpoint,
    openapi_extra=documented("DecisionBody"),
)
async def decide_checkpoint(request: Request, here: Here, caller: Decider, checkpoint_id: str) -> Response:
    """Once and for all, but for `defer`; an approval names the digest of what it approves."""
    body = await read_body(request)
    asked = body.parse(DecisionBody)
    _check_words(asked)
    verdict = Verdict(**{name: getattr(asked, name) for name in DecisionBody.model_fields})
    return await _decide(request, here, caller, body, verdict)


@router.post(
    "/v1/checkpoints/{checkpoint_id}:revoke",
    response_model=Checkpoint,
    openapi_extra=documented("RevokeBody", required=False),
)
async def revoke_checkpoint(request: Request, here: Here, caller: Decider, checkpoint_id: str) -> Response:
    """Take an approval back before it is spent."""
    body = await read_body(request)
    verdict = Verdict(decision="revoke", reason=body.parse(RevokeBody).reason)
    return await _decide(request, here, caller, body, verdict)


@router.post("/v1/checkpoints:decide", response_model=AllDecided, openapi_extra=documented("DecideAllBody"))
async def decide_checkpoints(request: Request, here: Here, caller: Decider) -> Response:
    """All of them are decided in one transaction, each checked as alone, or nothing is changed."""
    body = await read_body(request)
    asked = body.parse(DecideAllBody)
    names = [item.id for item in asked.items]
    runs: set[RunId] = set()
    for index, name in enumerate(names):
        if name in names[:index]:
            param = f"items[{index}].id"
            raise InvalidRequest("request.invalid_field", f"{param}: {name[:200]} stands twice", param=param)
        try:
            runs.add((await here.checkpoints.place(caller.tenant, name)).run_id)
        except NotFound as refused:
            raise _of_item(refused, index) from refused
    verdicts = [
        (
            CheckpointId(item.id),
            Verdict(decision=asked.decision, reason=asked.reason, envelope_digest=item.envelope_digest),
        )
        for item in asked.items
    ]

    def unit(tx: Tx) -> Made[tuple[Checkpoint, ...]]:
        decided = decisions.decide_all(tx, _with_roles_of_now(tx.connection, caller), verdicts)
        if isinstance(decided, decisions.AtFault):
            raise _of_item(_refused(decided.outcome), decided.index)
        return Made(",".join(names), decided)

    done = await here.mutations.once(scope_of(request, caller), body, unit, runs=runs)
    if done.value is not None:
        here.wakes.wake(sorted(runs))
        return one(AllDecided(items=done.value), done.status, done.headers)
    after = await here.database.read(
        lambda c: tuple(checkpoint_named(c, caller.tenant, name) for name in done.resource_id.split(","))
    )
    return one(AllDecided(items=after), done.status, done.headers)


def _of_item(refused: Refused, index: int) -> Refused:
    """The same refusal, about one of several."""
    field = refused.param if refused.param == "envelope_digest" else "id"
    param = f"items[{index}].{field}"
    words = refused.message.removeprefix(f"{field}: ")
    return type(refused)(refused.code, f"{param}: {words}", param=param, details=refused.details)


async def _decide(request: Request, here: Gateway, caller: Caller, body: Body, verdict: Verdict) -> Response:
    name = str(request.path_params["checkpoint_id"])
    place = await here.checkpoints.place(caller.tenant, name)

    def unit(tx: Tx) -> Made[Checkpoint]:
        if place.kind == "outcome_unknown" and verdict.decision == "answer":
            _check_resolution(verdict.answer)
        if place.kind == "question" and verdict.decision == "answer":
            _check_answer(tx.connection, caller, name, verdict.answer)
        _check_arguments(tx.connection, caller, name, verdict.arguments)
        now = _with_roles_of_now(tx.connection, caller)
        outcome = decisions.decide(tx, now, CheckpointId(name), verdict)
        if not isinstance(outcome, decisions.Decided):
            raise _refused(outcome)
        return Made(name, outcome.checkpoint)

    done = await here.mutations.once(scope_of(request, caller), body, unit, runs=[place.run_id])
    if done.value is not None:
        here.wakes.wake([place.run_id])
    after = done.value or await here.database.read(lambda c: checkpoint_named(c, caller.tenant, name))
    return one(after, done.status, done.headers)


def _with_roles_of_now(connection: Connection, caller: Caller) -> Caller:
    """Roles count as they are when the decision is made, not when the key was looked up."""
    return caller.model_copy(update={"roles": principals.roles_of(connection, caller.principal_id)})


def _check_words(asked: DecisionBody) -> None:
    """Words that belong to another verb would be lost in silence."""
    belongs = {"arguments": "approve", "answer": "answer", "expires_in_s": "defer"}
    for field, verb in belongs.items():
        if field in asked.model_fields_set and asked.decision != verb:
            message = f"{field}: it goes with the decision {verb!r} only"
            raise InvalidRequest("request.invalid_field", message, param=field)
    if asked.decision == "answer" and "answer" not in asked.model_fields_set:
        raise InvalidRequest("request.invalid_field", "answer: Field required", param="answer")


def _check_resolution(answer: JSON) -> None:
    resolution = answer.get("resolution") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or set(answer) != {"resolution"} or resolution not in RESOLUTIONS:
        message = f"answer.resolution: one of {', '.join(RESOLUTIONS)} is needed"
        raise InvalidRequest("checkpoint.answer_invalid", message, param="answer.resolution")


def _check_answer(connection: Connection, caller: Caller, name: str, answer: JSON) -> None:
    """A server that asks says what fits; any other question takes any answer."""
    checkpoint = checkpoints.get(connection, caller.tenant, CheckpointId(name))
    if checkpoint is None or checkpoint.rule != ELICITATION:
        return
    found = answer_fault(checkpoint.arguments or {}, answer)
    if found is not None:
        param = f"answer.{found.place}" if found.place else "answer"
        raise InvalidRequest("checkpoint.answer_invalid", f"{param}: {found.text}", param=param)


def _check_arguments(connection: Connection, caller: Caller, name: str, arguments: JSONObject | None) -> None:
    """Other arguments have to be a call of the same tool; whether it may be made, the gate decides later."""
    checkpoint = checkpoints.get(connection, caller.tenant, CheckpointId(name))
    if arguments is None or checkpoint is None or checkpoint.envelope is None:
        return
    snapshot = snapshots.load(connection, checkpoint.envelope.snapshot_id)
    grant = snapshot.grant_for(checkpoint.envelope.tool) if snapshot else None
    found = misfit(grant.definition.input_schema, arguments) if grant else None
    if found is not None:
        param = f"arguments.{found.place}" if found.place else "arguments"
        raise InvalidRequest("checkpoint.arguments_invalid", f"{param}: {found.text}", param=param)


def checkpoint_closed(checkpoint: Checkpoint) -> Refused:
    """Nobody waits for the answer any more."""
    if checkpoint.status in ("open", "expired"):
        return Gone("checkpoint.expired", f"the checkpoint's time ended at {rfc3339(checkpoint.expires_at)}")
    return Conflict(
        "checkpoint.closed",
        f"the checkpoint is {checkpoint.status}",
        details={"status": checkpoint.status},
    )


def _refused(outcome: decisions.Outcome) -> Refused:
    match outcome:
        case decisions.Closed(checkpoint=Checkpoint(status="open")):
            return Conflict("checkpoint.not_approved", "there is no approval to take back: it can be denied")
        case decisions.Closed(checkpoint=checkpoint) | decisions.Expired(checkpoint=checkpoint):
            return checkpoint_closed(checkpoint)
        case decisions.DigestMismatch(checkpoint=checkpoint):
            message = "envelope_digest: it is not the digest of what would be done"
            details: JSONObject = {"envelope_digest": checkpoint.envelope_digest}
            return Conflict("checkpoint.digest_mismatch", message, param="envelope_digest", details=details)
        case decisions.WrongVerb(checkpoint=checkpoint):
            message = f"decision: a checkpoint of the kind {checkpoint.kind!r} is not answered like that"
            return InvalidRequest("checkpoint.wrong_verb", message, param="decision")
        case decisions.RoleMissing(role=role):
            return Forbidden("checkpoint.role_missing", f"only a {role!r} may decide this")
        case decisions.IsRequester():
            message = "whoever the run acts for may not decide this: somebody else has to"
            return Forbidden("checkpoint.is_requester", message)
        case decisions.NoSuchCheckpoint() | decisions.Decided():
            return NotFound("checkpoint.not_found", "there is no such checkpoint")
