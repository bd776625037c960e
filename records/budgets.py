"""Budgets of a project, beside those that `rhone.toml` declares for every project."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from protocol.budget import Budget, BudgetEntry
from protocol.ids import SessionId
from protocol.principal import Tenant
from records.budget_tables import budgets
from records.columns import AnyRow
from records.paging import Page, PageRequest, page_of
from records.tables import sessions
from records.tx import Tx

Declared = Mapping[str, BudgetEntry]

_OF_PROJECT = select(budgets).where(budgets.c.project_id == bindparam("project")).order_by(budgets.c.name)
_ACTOR = select(sessions.c.actor_id).where(sessions.c.id == bindparam("of"))


def put(tx: Tx, tenant: Tenant, name: str, entry: BudgetEntry) -> bool:
    """Make or replace it; true where it is new. What was spent in its periods stays counted."""
    row: dict[str, Any] = entry.model_dump() | {"updated_at": tx.now}
    mine = _mine(tenant, name)
    if tx.connection.execute(update(budgets).where(*mine).values(row)).rowcount:
        return False
    row |= tenant.model_dump() | {"name": name, "created_at": tx.now}
    tx.connection.execute(insert(budgets).values(row))
    return True


def remove(tx: Tx, tenant: Tenant, name: str) -> bool:
    return tx.connection.execute(delete(budgets).where(*_mine(tenant, name))).rowcount == 1


def get(connection: Connection, tenant: Tenant, name: str) -> Budget | None:
    row = connection.execute(select(budgets).where(*_mine(tenant, name))).first()
    return None if row is None else _budget(row)


def list_budgets(connection: Connection, tenant: Tenant, page: PageRequest) -> Page[Budget]:
    query = select(budgets).where(budgets.c.project_id == tenant.project_id)
    rows, cursor = page_of(connection, query, (budgets.c.created_at, budgets.c.name), page)
    return Page([_budget(row) for row in rows], cursor)


def declared(entries: Declared) -> list[Budget]:
    return [Budget(name=name, declared=True, **entry.model_dump()) for name, entry in entries.items()]


def governing(
    connection: Connection, tenant: Tenant, actor_id: str | None, entries: Declared
) -> list[Budget]:
    """The budgets that a call of this actor counts against, by name."""
    kept = [_budget(row) for row in connection.execute(_OF_PROJECT, {"project": tenant.project_id})]
    found = [one for one in (*declared(entries), *kept) if _governs(one, actor_id)]
    return sorted(found, key=lambda one: (one.name, one.declared))


def actor_of(connection: Connection, session_id: SessionId) -> str | None:
    return connection.execute(_ACTOR, {"of": session_id}).scalar()


def _governs(budget: Budget, actor_id: str | None) -> bool:
    if budget.scope != "actor":
        return True
    return actor_id is not None and budget.actor_id in (None, actor_id)


def _mine(tenant: Tenant, name: str) -> tuple[Any, ...]:
    return budgets.c.project_id == tenant.project_id, budgets.c.name == name


def _budget(row: AnyRow) -> Budget:
    fields = {name: getattr(row, name) for name in Budget.model_fields if name != "declared"}
    return Budget.model_validate(fields)
