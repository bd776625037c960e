"""Webhooks and their deliveries: each is claimed for a while, tried, and told what became of it."""

import math
from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, bindparam, delete, func, insert, or_, select, update

from protocol.ids import RunId
from protocol.noun import Moment, Noun
from protocol.principal import Tenant
from protocol.secret import SecretRef
from protocol.webhook import Delivery, DeliveryState, Webhook, WebhookEntry
from records.columns import AnyRow, all_of, noun_of, selected
from records.database import now
from records.paging import Page, PageRequest, page_of
from records.seal import Seal
from records.tables import events, projects
from records.tx import Tx
from records.webhook_tables import webhook_deliveries, webhooks

w, d = webhooks.c, webhook_deliveries.c

_FIELDS = [name for name in Webhook.model_fields if name != "secret"]
_SHOWN = select(*(w[name] for name in _FIELDS))
_PENDING = and_(d.state == "pending", d.next_attempt_at <= bindparam("now", type_=d.next_attempt_at.type))
_DUE = (
    select(d.id, d.type, d.attempts, d.project_id, d.webhook, w.url, w.sealed, w.secret_ref, events.c.data)
    .join(webhooks, and_(w.project_id == d.project_id, w.name == d.webhook))
    .join(events, and_(events.c.run_id == d.run_id, events.c.seq == d.seq))
    .where(_PENDING)
    .order_by(d.next_attempt_at, d.id)
    .limit(bindparam("most"))
)
_NEXT = select(func.min(d.next_attempt_at)).where(d.state == "pending")
_ATTEMPT = update(webhook_deliveries).where(
    d.id == bindparam("of"), d.state == "pending", d.attempts == bindparam("before")
)


class Due(Noun):
    """A delivery that is to be tried now, as its `attempts`th attempt; `data` is the event's JSON text."""

    id: str
    type: str
    attempts: int
    project_id: str
    webhook: str
    url: str
    sealed: str | None
    secret_ref: SecretRef | None
    data: str
    at: Moment


class Tried(Noun):
    """What an attempt came to; `again_in_s` is None for the last one."""

    status: int | None = None
    error: str | None = None
    again_in_s: float | None = None


class NewSecret(NamedTuple):
    """A hook's secret: the text, which is shown once, and what is kept of it."""

    text: str
    sealed: str


def new_secret(seal: Seal, tenant: Tenant, name: str, text: str) -> NewSecret:
    return NewSecret(text, seal.close(text, "webhook", tenant.project_id, name))


def secret_of(seal: Seal, due: Due) -> str:
    """Empty where what is kept does not open: nothing is signed with that."""
    return seal.open(due.sealed or "", "webhook", due.project_id, due.webhook) or ""


def put(tx: Tx, tenant: Tenant, name: str, url: str, patterns: tuple[str, ...], secret: NewSecret) -> Webhook:
    """The hook; with its secret where it is made by this, else it keeps the one that it has."""
    values = {"url": url, "events": patterns, "updated_at": tx.now}
    if get(tx.connection, tenant, name) is not None:
        tx.connection.execute(update(webhooks).where(_named(tenant.project_id, name)).values(values))
        made = None
    else:
        row = {"project_id": tenant.project_id, "name": name, "declared": False, "created_at": tx.now}
        tx.connection.execute(insert(webhooks).values(row | values | {"sealed": secret.sealed}))
        made = secret.text
    found = get(tx.connection, tenant, name)
    assert found is not None
    return found.model_copy(update={"secret": made})


def declare(tx: Tx, declared: Mapping[str, WebhookEntry]) -> list[str]:
    """The hooks of the configuration as they stand there now; the names of those whose project is unknown."""
    unknown: list[str] = []
    kept: list[ColumnElement[bool]] = []
    for name, entry in declared.items():
        of = or_(projects.c.id == entry.project, projects.c.name == entry.project)
        project = tx.connection.execute(select(projects.c.id).where(of).order_by(projects.c.id)).scalar()
        if project is None:
            unknown.append(name)
            continue
        kept.append(_named(project, name))
        values = {"url": entry.url, "events": entry.events, "secret_ref": entry.secretRef, "sealed": None}
        values |= {"declared": True, "updated_at": tx.now}
        if tx.connection.execute(update(webhooks).where(kept[-1]).values(values)).rowcount == 0:
            row = {"project_id": project, "name": name, "created_at": tx.now}
            tx.connection.execute(insert(webhooks).values(row | values))
    gone = select(w.project_id, w.name).where(w.declared, *(~one for one in kept))
    for row in tx.connection.execute(gone).all():
        _drop(tx, row.project_id, row.name)
    return unknown


def remove(tx: Tx, tenant: Tenant, name: str) -> bool:
    """With all that it is still to be told."""
    return _drop(tx, tenant.project_id, name)


def take(tx: Tx, most: int, lease_s: float) -> list[Due]:
    """Deliveries that are due, each claimed by its next attempt; what dies in the middle is due again after
    the lease."""
    taken: list[Due] = []
    until = tx.now + timedelta(seconds=lease_s)
    for row in tx.connection.execute(_DUE, {"now": tx.now, "most": most}).all():
        claim = {"of": row.id, "before": row.attempts, "attempts": row.attempts + 1}
        claim |= {"next_attempt_at": until, "last_attempt_at": tx.now}
        if tx.connection.execute(_ATTEMPT, claim).rowcount == 1:
            fields = {name: getattr(row, name) for name in Due.model_fields if name not in ("at", "attempts")}
            taken.append(Due(**fields, attempts=row.attempts + 1, at=tx.now))
    return taken


def settle(tx: Tx, due: Due, tried: Tried) -> bool:
    """False where another attempt has begun meanwhile."""
    done = tried.error is None
    state: DeliveryState = "pending" if tried.again_in_s is not None else "delivered" if done else "given_up"
    later = None if tried.again_in_s is None else tx.now + timedelta(seconds=tried.again_in_s)
    values = {"state": state, "next_attempt_at": later, "delivered_at": tx.now if done else None}
    values |= {"last_status": tried.status, "last_error": tried.error}
    settled = {"of": due.id, "before": due.attempts, **values}
    return tx.connection.execute(_ATTEMPT, settled).rowcount == 1


# reading


def due_in(connection: Connection) -> float:
    """In how many seconds there is something to be told; endless where nothing is pending."""
    next_at = connection.execute(_NEXT).scalar()
    return math.inf if next_at is None else (next_at - now(connection)).total_seconds()


def get(connection: Connection, tenant: Tenant, name: str) -> Webhook | None:
    row = connection.execute(_SHOWN.where(_named(tenant.project_id, name))).first()
    return None if row is None else _webhook(row)


def list_webhooks(connection: Connection, tenant: Tenant, page: PageRequest) -> Page[Webhook]:
    query = _SHOWN.where(w.project_id == tenant.project_id)
    rows, cursor = page_of(connection, query, (w.created_at, w.name), page)
    return Page([_webhook(row) for row in rows], cursor)


def list_deliveries(
    connection: Connection,
    tenant: Tenant,
    name: str,
    page: PageRequest,
    *,
    state: DeliveryState | None = None,
) -> Page[Delivery]:
    query = selected(Delivery, webhook_deliveries).where(d.project_id == tenant.project_id, d.webhook == name)
    if state is not None:
        query = query.where(d.state == state)
    rows, cursor = page_of(connection, query, (d.created_at, d.id), page)
    return Page([noun_of(Delivery, row) for row in rows], cursor)


def of_run(connection: Connection, run_id: RunId) -> list[Delivery]:
    query = selected(Delivery, webhook_deliveries).where(d.run_id == run_id).order_by(d.seq, d.webhook)
    return all_of(Delivery, connection.execute(query))


def _webhook(row: AnyRow) -> Webhook:
    return Webhook(**{name: getattr(row, name) for name in _FIELDS})


def _named(project_id: str, name: str) -> ColumnElement[bool]:
    return and_(w.project_id == project_id, w.name == name)


def _drop(tx: Tx, project_id: str, name: str) -> bool:
    of = and_(d.project_id == project_id, d.webhook == name)
    tx.connection.execute(delete(webhook_deliveries).where(of))
    return tx.connection.execute(delete(webhooks).where(_named(project_id, name))).rowcount == 1
