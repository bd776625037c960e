"""Runs: made, claimed, waiting, ended. A change of status is a conditional statement; its outcome is a value.

A run is `starting` from its intent to the begin of its workflow (shown as `queued`), then `queued`,
`running`, `waiting`, and one of the four ends. `completed_at` stands exactly where its terminal event is in.
"""

from collections.abc import Collection
from datetime import timedelta
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, bindparam, func, insert, select, update

from protocol.block import InputBlock, InputDraft
from protocol.event import RunCreated, RunResumed, RunStarted, RunWaiting
from protocol.ids import BlockId, CheckpointId, PrincipalId, RunId, SessionId, SnapshotId, derived, is_id
from protocol.noun import Noun
from protocol.principal import Tenant
from protocol.run import Limits, Run, RunRequest, RunStatus, WaitingFor
from protocol.usage import Usage, add
from records import blocks, bodies
from records.columns import AnyRow, owned_by
from records.conflicts import insert_unless_there
from records.database import now
from records.paging import Page, PageRequest, page_of
from records.run_record import RunRecord
from records.tables import run_bodies, runs, sessions
from records.tx import Tx


class NewRun(Noun):
    """A run as it is asked for; `model` and `limits` are already completed from the session's defaults."""

    id: RunId
    tenant: Tenant
    principal_id: PrincipalId
    session_id: SessionId
    request: RunRequest
    model: str
    limits: Limits
    blocks: tuple[InputDraft, ...]
    instructions: str | None = None
    parent_run_id: RunId | None = None
    ancestor_run_ids: tuple[RunId, ...] = ()


# Built once: building a statement costs ten times its execution.
_ALL = select(
    runs, *(run_bodies.c[name] for name in ("request", "instructions", "error", "output_text", "output"))
).join_from(runs, run_bodies)
_ONE = _ALL.where(runs.c.id == bindparam("of"))
_OF = update(runs).where(runs.c.id == bindparam("of"))
_MOVE = _OF.where(runs.c.status.in_(bindparam("before", expanding=True)))
_WAITS = select(runs.c.status, runs.c.waiting_for, runs.c.waiting_since, runs.c.waited_ms).where(
    runs.c.id == bindparam("of")
)
_COUNTERS = select(runs.c.usage, runs.c.cost_usd, runs.c.step_count, runs.c.tool_count, runs.c.ttft_ms).where(
    runs.c.id == bindparam("of")
)


class Created(Noun):
    record: RunRecord


class SessionBusy(Noun):
    """Another run of the session has not ended."""

    run_id: RunId


class SessionPaused(Noun):
    pass


def create(tx: Tx, new: NewRun) -> Created | SessionBusy | SessionPaused:
    """The intent: the row as `starting`, its input blocks in the head, and `run.created`."""
    status = tx.connection.execute(select(sessions.c.status).where(sessions.c.id == new.session_id)).scalar()
    if status == "paused":
        return SessionPaused()
    stateful = new.request.context == "stateful"
    if not insert_unless_there(tx.connection, runs, _row(tx, new, stateful)):
        busy = holder(tx.connection, new.session_id)
        return SessionBusy(run_id=busy or new.id)
    tx.connection.execute(
        insert(run_bodies).values(
            run_id=new.id,
            request=bodies.stow(tx.connection, new.request.model_dump_json(exclude_none=True)),
            instructions=new.instructions,
        )
    )
    tx.begin_log(new.id, new.session_id)
    inputs = [
        InputBlock(
            id=BlockId(derived("blk_", new.id, number)),
            session_id=new.session_id,
            run_id=new.id,
            created_at=tx.now,
            content=draft.content,
        )
        for number, draft in enumerate(new.blocks)
    ]
    blocks.add(tx, new.session_id if stateful else new.id, inputs)
    harness, target = new.request.harness, target_of(new.request)
    tx.append(new.id, RunCreated(model=new.model, harness=harness, target=target), key="created")
    record = load(tx.connection, new.id)
    assert record is not None
    return Created(record=with_last_seq(record, tx.last_seq(new.id)))


def mark_queued(tx: Tx, run_id: RunId) -> bool:
    """Its workflow has begun."""
    return _move(tx, run_id, {"starting"}, status="queued")


def claim(tx: Tx, run_id: RunId) -> RunRecord | None:
    """Take the run up; a retried claim gets the record again, an ended or abandoned run gives None."""
    record = load(tx.connection, run_id)
    if record is None or tx.ended(run_id):
        return None
    if _move(tx, run_id, {"starting", "queued"}, status="running", started_at=tx.now):
        run = record.run
        started = RunStarted(model=run.model, harness=run.harness, target=run.target)
        tx.append(run_id, started, key="started")
        record = load(tx.connection, run_id) or record
    return with_last_seq(record, tx.last_seq(run_id))


def set_snapshot(tx: Tx, run_id: RunId, snapshot_id: SnapshotId) -> None:
    tx.connection.execute(_OF, {"of": run_id, "capability_snapshot_id": snapshot_id})


def set_model_facts(tx: Tx, run_id: RunId, *, primary_resolved_model: str) -> None:
    tx.connection.execute(_OF, {"of": run_id, "primary_resolved_model": primary_resolved_model})


def set_limits(tx: Tx, run_id: RunId, limits: Limits) -> None:
    tx.connection.execute(_OF, {"of": run_id, "limits": limits})


class Progress(Noun):
    """What a model turn or a tool step adds; `usage` None where no model was called."""

    steps: int = 0
    tools: int = 0
    usage: Usage | None = None
    cost_usd: float | None = None
    ttft_ms: int | None = None


def advance(tx: Tx, run_id: RunId, progress: Progress) -> None:
    """Add to the counters; the cost of the run is unknown from the first call whose cost is."""
    before = tx.connection.execute(_COUNTERS, {"of": run_id}).one()
    values: dict[str, Any] = {
        "step_count": before.step_count + progress.steps,
        "tool_count": before.tool_count + progress.tools,
    }
    if progress.usage is not None:
        first = before.usage == Usage()
        known = progress.cost_usd is not None and (first or before.cost_usd is not None)
        values["usage"] = add(before.usage, progress.usage)
        values["cost_usd"] = (before.cost_usd or 0.0) + (progress.cost_usd or 0.0) if known else None
        values["ttft_ms"] = progress.ttft_ms if before.ttft_ms is None else before.ttft_ms
    tx.connection.execute(_OF, values | {"of": run_id})


def set_waiting(tx: Tx, run_id: RunId, checkpoint_ids: tuple[CheckpointId, ...]) -> bool:
    """The run waits for somebody, and its clock stands still; true where that is news."""
    before = tx.connection.execute(_WAITS, {"of": run_id}).one()
    if before.status == "waiting" and before.waiting_for == checkpoint_ids:
        return False
    values: dict[str, Any] = {} if before.status == "waiting" else {"waiting_since": tx.now}
    if not _move(tx, run_id, {"running", "waiting"}, status="waiting", waiting_for=checkpoint_ids, **values):
        return False
    tx.append(run_id, RunWaiting(checkpoint_ids=checkpoint_ids))
    return True


def set_running(tx: Tx, run_id: RunId) -> bool:
    """The run goes on; true where it had waited."""
    before = tx.connection.execute(_WAITS, {"of": run_id}).one()
    if not _move(tx, run_id, {"waiting"}, status="running", **waited(tx, before)):
        return False
    tx.append(run_id, RunResumed(checkpoint_ids=before.waiting_for or ()))
    return True


def waited(tx: Tx, row: AnyRow) -> dict[str, Any]:
    """The columns of a run that waits no longer."""
    total = row.waited_ms
    if row.waiting_since is not None:
        total += (tx.now - row.waiting_since) // timedelta(milliseconds=1)
    return {"waiting_for": None, "waiting_since": None, "waited_ms": total}


def _move(tx: Tx, run_id: RunId, before: set[str], **values: Any) -> bool:
    return tx.connection.execute(_MOVE, values | {"of": run_id, "before": list(before)}).rowcount == 1


# reading


def get(connection: Connection, tenant: Tenant, run_id: RunId) -> RunRecord | None:
    """The run, where it is the tenant's."""
    record = load(connection, run_id)
    return record if record is not None and record.tenant == tenant else None


def load(connection: Connection, run_id: RunId) -> RunRecord | None:
    """For those who carry it out: no tenant asked."""
    row = connection.execute(_ONE, {"of": run_id}).first()
    return None if row is None else record_of(connection, row)


def by_ids(connection: Connection, ids: Collection[RunId]) -> list[Run]:
    rows = connection.execute(_ALL.where(runs.c.id.in_(ids)))
    return [record_of(connection, row).run for row in rows]


def list_runs(
    connection: Connection,
    tenant: Tenant,
    page: PageRequest,
    *,
    session_id: SessionId | None = None,
    parent_run_id: RunId | None = None,
    status: RunStatus | None = None,
) -> Page[Run]:
    query = _ALL.where(owned_by(tenant, runs))
    for column, value in ((runs.c.session_id, session_id), (runs.c.parent_run_id, parent_run_id)):
        query = query if value is None else query.where(column == value)
    if status is not None:
        query = query.where(_has(status))
    rows, cursor = page_of(connection, query, (runs.c.created_at, runs.c.id), page)
    return Page([record_of(connection, row).run for row in rows], cursor)


def holder(connection: Connection, session_id: SessionId) -> RunId | None:
    """The run that holds the session: stateful and not ended."""
    query = select(runs.c.id).where(
        runs.c.session_id == session_id, runs.c.stateful, runs.c.completed_at.is_(None)
    )
    return connection.execute(query).scalar()


def last_of_session(
    connection: Connection, session_id: SessionId, *, before: RunId | None = None
) -> RunRecord | None:
    """The session's newest stateful run, or the newest that is older than `before` (ids sort by time)."""
    query = _ALL.where(runs.c.session_id == session_id, runs.c.stateful)
    if before is not None:
        query = query.where(runs.c.id < before)
    newest = query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(1)
    row = connection.execute(newest).first()
    return None if row is None else record_of(connection, row)


def stale_starts(connection: Connection, older_than_s: float) -> list[tuple[RunId, RunId | None]]:
    """Runs whose workflow was not begun in time, each with its parent."""
    limit = now(connection) - timedelta(seconds=older_than_s)
    query = select(runs.c.id, runs.c.parent_run_id).where(
        runs.c.completed_at.is_(None), runs.c.status == "starting", runs.c.created_at < limit
    )
    return [(row.id, row.parent_run_id) for row in connection.execute(query)]


def open_runs(connection: Connection) -> list[RunId]:
    """All that have not ended, oldest first."""
    query = select(runs.c.id).where(runs.c.completed_at.is_(None)).order_by(runs.c.created_at)
    return list(connection.execute(query).scalars())


def open_of(
    connection: Connection,
    tenant: Tenant,
    *,
    session_id: SessionId | None = None,
    status: RunStatus | None = None,
    run_ids: Collection[str] | None = None,
    limit: int,
) -> list[RunId]:
    """The tenant's runs that have not ended, oldest first; each filter that is given narrows them."""
    query = select(runs.c.id).where(runs.c.completed_at.is_(None), owned_by(tenant, runs))
    if session_id is not None:
        query = query.where(runs.c.session_id == session_id)
    if status is not None:
        query = query.where(_has(status))
    if run_ids is not None:
        query = query.where(runs.c.id.in_([name for name in run_ids if is_id("run_", name)]))
    return list(connection.execute(query.order_by(runs.c.created_at).limit(limit)).scalars())


def count_open(connection: Connection) -> int:
    """How many have not ended, over all tenants."""
    return connection.execute(select(func.count()).where(runs.c.completed_at.is_(None))).scalar_one()


def _has(status: RunStatus) -> ColumnElement[bool]:
    return runs.c.status.in_(("starting", "queued") if status == "queued" else (status,))


def target_of(request: RunRequest) -> Any:
    return request.target or (request.targets[0] if request.targets else None)


def with_last_seq(record: RunRecord, seq: int) -> RunRecord:
    return record.model_copy(update={"run": record.run.model_copy(update={"last_seq": seq})})


def record_of(connection: Connection, row: AnyRow) -> RunRecord:
    request = RunRequest.model_validate_json(bodies.fetch(connection, row.request))
    status = cast("RunStatus", "queued" if row.status == "starting" else row.status)
    run = Run(
        id=row.id,
        session_id=row.session_id,
        parent_run_id=row.parent_run_id,
        ancestor_run_ids=row.ancestor_run_ids,
        status=status,
        stop_reason=row.stop_reason,
        model=row.model,
        primary_resolved_model=row.primary_resolved_model,
        harness=request.harness,
        target=target_of(request),
        capability_snapshot_id=row.capability_snapshot_id,
        limits=row.limits,
        usage=row.usage,
        cost_usd=row.cost_usd,
        ttft_ms=row.ttft_ms,
        step_count=row.step_count,
        tool_count=row.tool_count,
        last_seq=row.last_seq,
        waiting_for=None if row.waiting_for is None else WaitingFor(checkpoint_ids=row.waiting_for),
        error=row.error,
        output_text=row.output_text,
        output=row.output,
        assessment_outcome=row.assessment_outcome,
        metadata=request.metadata,
        created_at=row.created_at,
        started_at=row.started_at,
        completed_at=row.completed_at,
    )
    return RunRecord(
        run=run,
        tenant=Tenant(org_id=row.org_id, project_id=row.project_id),
        principal_id=row.principal_id,
        request=request,
        instructions=row.instructions,
        stateful=row.stateful,
        starting=row.status == "starting",
        inbox_last=row.inbox_last,
        inbox_heard=row.inbox_heard,
        waited_ms=row.waited_ms,
        waiting_since=row.waiting_since,
    )


def _row(tx: Tx, new: NewRun, stateful: bool) -> dict[str, Any]:
    return {
        "id": new.id,
        "org_id": new.tenant.org_id,
        "project_id": new.tenant.project_id,
        "principal_id": new.principal_id,
        "session_id": new.session_id,
        "parent_run_id": new.parent_run_id,
        "ancestor_run_ids": new.ancestor_run_ids,
        "stateful": stateful,
        "status": "starting",
        "model": new.model,
        "limits": new.limits,
        "usage": Usage(),
        "created_at": tx.now,
    }
