"""What model calls hold and spend: reserved before, settled after, charged in full where nobody knows.

An account is a counter under one limit; its row is locked while it is read to be changed. A reservation is
keyed by the call, its attempt and the account, so that a retry counts once.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from protocol.budget import Account, Amount, Budget, Payer, nanos, period_key
from protocol.checkpoint import Checkpoint
from protocol.event import CheckpointRedeemed
from protocol.ids import CallId, RunId
from protocol.noun import Moment
from protocol.principal import Tenant
from protocol.run import Limits
from records import checkpoints
from records.budget_tables import accounts, raises, reservations
from records.columns import AnyRow
from records.conflicts import insert_unless_there
from records.tables import runs
from records.tx import Tx

RUN = "limits"
"""What the account of a run's own limits is called among its budgets."""

_LIMITS = select(runs.c.limits).where(runs.c.id == bindparam("of"))
_USED = select(runs.c.usage, runs.c.cost_usd).where(runs.c.id == bindparam("of"))
_RAISES = (
    select(raises)
    .where(raises.c.run_id == bindparam("of"), raises.c.budget == bindparam("named"))
    .order_by(raises.c.checkpoint_id)
)
_COUNTERS = select(accounts).where(accounts.c.id == bindparam("of"))
_LOCKED = _COUNTERS.with_for_update()
_MOVE = (
    update(accounts)
    .where(accounts.c.id == bindparam("of"))
    .values(
        tokens=accounts.c.tokens + bindparam("more_tokens"),
        nanos=accounts.c.nanos + bindparam("more_nanos"),
        ms=accounts.c.ms + bindparam("more_ms"),
        held_tokens=accounts.c.held_tokens + bindparam("hold_tokens"),
        held_nanos=accounts.c.held_nanos + bindparam("hold_nanos"),
        held_ms=accounts.c.held_ms + bindparam("hold_ms"),
    )
)
_HOLD = insert(reservations)
_HELD = select(reservations).where(reservations.c.state == "held")
_OF_RUN = _HELD.where(reservations.c.run_id == bindparam("of"))
_OF_ATTEMPT = _HELD.where(
    reservations.c.call_id == bindparam("of"), reservations.c.attempt == bindparam("by")
)
_CLOSE = update(reservations).where(
    reservations.c.call_id == bindparam("of"),
    reservations.c.attempt == bindparam("by"),
    reservations.c.account_id == bindparam("under"),
)


def limits_of(connection: Connection, run_id: RunId) -> Limits:
    """As they are now: they may have been raised since the run was opened."""
    return connection.execute(_LIMITS, {"of": run_id}).scalar_one()


def account_id(tenant: Tenant, budget: Budget, whose: str, at: Moment) -> str:
    return f"budget:{tenant.project_id}:{budget.name}:{period_key(budget.period, at)}:{whose}"


def of_budget(tx: Tx, tenant: Tenant, budget: Budget, payer: Payer) -> Account:
    """What a budget of single calls leaves is the same for each of them."""
    cost, seconds = budget.max_cost_usd, budget.max_seconds
    account = Account(
        id="",
        budget=budget.name,
        max_tokens=budget.max_tokens,
        max_nanos=nanos(cost) if cost is not None else None,
        max_ms=round(seconds * 1000) if seconds is not None else None,
        on_exceed=budget.on_exceed,
    )
    if budget.scope == "call":
        return account
    named = account_id(tenant, budget, payer.of(budget.scope), tx.now)
    return _locked(tx, account.model_copy(update={"id": named}))


def of_run(tx: Tx, run_id: RunId, limits: Limits, *, of_other: bool = False) -> Account:
    """The run's own limits; what it used before it had any is counted from the beginning. A run below it
    knows them by the run's id."""
    row = tx.connection.execute(_USED, {"of": run_id}).one()
    used = Amount(tokens=row.usage.total, nanos=nanos(row.cost_usd or 0.0))
    return _locked(
        tx,
        Account(
            id=f"run:{run_id}",
            budget=f"{RUN}:{run_id}" if of_other else RUN,
            max_tokens=limits.max_tokens or None,
            max_nanos=nanos(limits.max_cost_usd) if limits.max_cost_usd else None,
            spent=used,
            on_exceed=limits.on_exceed,
        ),
    )


def raises_of(tx: Tx, run_id: RunId, account: Account) -> list[Account]:
    """What people granted this run beyond a budget, each an account of its own."""
    found = tx.connection.execute(_RAISES, {"of": run_id, "named": account.budget}).all()
    return [
        _locked(
            tx,
            account.model_copy(
                update={
                    "id": f"raise:{row.checkpoint_id}",
                    "max_tokens": row.tokens if account.max_tokens is not None else None,
                    "max_nanos": row.nanos if account.max_nanos is not None else None,
                    "max_ms": row.ms if account.max_ms is not None else None,
                    "spent": Amount(),
                }
            ),
        )
        for row in found
    ]


def grant_raise(tx: Tx, checkpoint: Checkpoint, budget: str, amount: Amount) -> bool:
    """Spend an approval to go beyond a budget; false where it was taken back meanwhile."""
    if not checkpoints.move(tx, checkpoint, "approved", "redeemed"):
        return False
    row = {"checkpoint_id": checkpoint.id, "run_id": checkpoint.run_id, "budget": budget}
    insert_unless_there(tx.connection, raises, row | amount.model_dump())
    body = CheckpointRedeemed(checkpoint_id=checkpoint.id, kind=checkpoint.kind)
    tx.append(checkpoint.run_id, body, key=f"checkpoint:{checkpoint.id}:redeemed")
    return True


def hold(
    tx: Tx, run_id: RunId, call_id: CallId, attempt: int, chosen: Sequence[Account], amount: Amount
) -> None:
    """Reserve the amount in each account, for one attempt of a call."""
    for account in (one for one in chosen if one.id):
        row: dict[str, Any] = {"call_id": call_id, "attempt": attempt, "account_id": account.id}
        row |= {"run_id": run_id, "state": "held", "created_at": tx.now}
        tx.connection.execute(_HOLD, row | amount.model_dump())
        _move(tx, account.id, Amount(), amount)


def settle(tx: Tx, call_id: CallId, attempt: int, spent: Amount) -> None:
    """What the attempt came to, and the time since it began, take the place of what it held."""
    for row in tx.connection.execute(_OF_ATTEMPT, {"of": call_id, "by": attempt}).all():
        took = round((tx.now - row.created_at).total_seconds() * 1000)
        _close(tx, row, spent.model_copy(update={"ms": min(took, row.ms)}), "settled")


def charge(tx: Tx, run_id: RunId) -> None:
    """Attempts of the run that nobody will settle any more: what they held counts as spent."""
    for row in tx.connection.execute(_OF_RUN, {"of": run_id}).all():
        _close(tx, row, Amount(tokens=row.tokens, nanos=row.nanos, ms=row.ms), "charged")


def counted(connection: Connection, account: str) -> Account:
    """What stands in an account now."""
    row = connection.execute(_COUNTERS, {"of": account}).first()
    empty = Account(id=account, budget=account)
    return empty if row is None else _filled(empty, row)


def _close(tx: Tx, row: AnyRow, spent: Amount, state: str) -> None:
    one = {"of": row.call_id, "by": row.attempt, "under": row.account_id}
    tx.connection.execute(_CLOSE, one | {"state": state} | spent.model_dump())
    _move(tx, row.account_id, spent, Amount(tokens=-row.tokens, nanos=-row.nanos, ms=-row.ms))


def _move(tx: Tx, account: str, spent: Amount, held: Amount) -> None:
    moved: dict[str, Any] = {f"more_{name}": count for name, count in spent.model_dump().items()}
    moved |= {f"hold_{name}": count for name, count in held.model_dump().items()}
    tx.connection.execute(_MOVE, moved | {"of": account})


def _locked(tx: Tx, account: Account) -> Account:
    """The account with its counters; where it is new, what it has as spent is its beginning."""
    row = {"id": account.id, **account.spent.model_dump()}
    insert_unless_there(tx.connection, accounts, row)
    return _filled(account, tx.connection.execute(_LOCKED, {"of": account.id}).one())


def _filled(account: Account, row: AnyRow) -> Account:
    spent = Amount(tokens=row.tokens, nanos=row.nanos, ms=row.ms)
    held = Amount(tokens=row.held_tokens, nanos=row.held_nanos, ms=row.held_ms)
    return account.model_copy(update={"spent": spent, "held": held})
