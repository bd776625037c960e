"""The outbox: what webhooks are to be told, kept in the transaction of the event itself."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select

from protocol.ids import derived
from protocol.webhook import FAMILIES
from records.link import EventRow
from records.tables import runs
from records.webhook_tables import webhook_deliveries, webhooks

# Built once: building a statement costs ten times its execution.
_LISTENING = (
    select(webhooks.c.project_id, webhooks.c.name, webhooks.c.events, webhooks.c.created_at, runs.c.id)
    .join(runs, runs.c.project_id == webhooks.c.project_id)
    .where(runs.c.id.in_(bindparam("ids", expanding=True)))
)
_POST = insert(webhook_deliveries)


def post(connection: Connection, now: datetime, events: Iterable[EventRow]) -> bool:
    """A delivery for each event of a transaction and each hook that wants it; whether there is any."""
    wanted = [event for event in events if event.type.startswith(FAMILIES)]
    if not wanted:
        return False
    hooks = connection.execute(_LISTENING, {"ids": sorted({event.run_id for event in wanted})}).all()
    rows = [
        {
            "id": derived("msg_", event.run_id, 0, hook.name, str(hook.created_at), event.seq),
            "project_id": hook.project_id,
            "webhook": hook.name,
            "type": event.type,
            "run_id": event.run_id,
            "seq": event.seq,
            "state": "pending",
            "attempts": 0,
            "created_at": now,
            "next_attempt_at": now,
        }
        for event in wanted
        for hook in hooks
        if hook.id == event.run_id and _fits(event.type, hook.events)
    ]
    if rows:
        connection.execute(_POST, rows)
    return bool(rows)


def _fits(name: str, patterns: tuple[str, ...]) -> bool:
    return any(name == one or (one.endswith("*") and name.startswith(one[:-1])) for one in patterns)
