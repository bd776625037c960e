"""Budgets as they are served: made, replaced and removed by name, each with what is spent of it now."""

import re
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Admin, Reader
from gateway.answers import Listed, many, one
from gateway.bodies import documented, read_body
from gateway.gateway import Gateway, Here
from gateway.idempotency import Made, scope_of
from protocol.budget import Budget, BudgetEntry, usd
from protocol.errors import Conflict, InvalidRequest, NotFound
from protocol.noun import Noun
from protocol.principal import Caller
from records import budgets, spending
from records.database import now
from records.paging import Page, PageRequest
from records.tx import Tx

router = APIRouter(tags=["budgets"])

Of = tuple[str | None, str | None]

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class Spent(Noun):
    """What counts against a budget in the period that runs now; `held_` is of calls that are under way."""

    tokens: int
    cost_usd: float
    seconds: float
    held_tokens: int
    held_cost_usd: float
    held_seconds: float


class BudgetView(Budget):
    """`spent` is absent where each actor or run has an account of its own and none is named, and where each
    call is counted by itself."""

    spent: Spent | None = None


@router.get("/v1/budgets", response_model=Listed[BudgetView])
async def list_budgets(here: Here, caller: Reader, page: Annotated[PageRequest, Query()]) -> Response:
    """Those of the project; the declared ones stand on the first page."""

    def query(connection: Connection) -> Page[BudgetView]:
        found = budgets.list_budgets(connection, caller.tenant, page)
        first = budgets.declared(here.config.budgets) if page.cursor is None else []
        return Page([_view(connection, caller, one) for one in (*first, *found.items)], found.next_cursor)

    return many(await here.database.read(query))


@router.get("/v1/budgets/{name}", response_model=BudgetView)
async def get_budget(
    here: Here, caller: Reader, name: str, actor_id: str | None = None, run_id: str | None = None
) -> Response:
    """With `actor_id` or `run_id` what that one has spent of a budget that each has for itself."""
    return one(await here.database.read(lambda c: _named(c, here, caller, name, (actor_id, run_id))))


@router.put("/v1/budgets/{name}", response_model=BudgetView, openapi_extra=documented("BudgetEntry"))
async def put_budget(request: Request, here: Here, caller: Admin, name: str) -> Response:
    """Make or replace it; what was spent stays counted."""
    body = await read_body(request)
    asked = body.parse(BudgetEntry)
    if _NAME.fullmatch(name) is None:
        message = "name: letters, digits, `_ . -`, 1 to 64 of them, beginning with a letter or digit"
        raise InvalidRequest("request.invalid_field", message, param="name")

    def unit(tx: Tx) -> Made[BudgetView]:
        _refuse_declared(here, name)
        new = budgets.put(tx, caller.tenant, name, asked)
        return Made(name, _named(tx.connection, here, caller, name), 201 if new else 200)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    made = done.value or await here.database.read(lambda c: _named(c, here, caller, name))
    return one(made, done.status, done.headers)


@router.delete("/v1/budgets/{name}", status_code=204)
async def delete_budget(request: Request, here: Here, caller: Admin, name: str) -> Response:
    """From now on nothing counts against it."""
    body = await read_body(request)

    def unit(tx: Tx) -> Made[str]:
        _refuse_declared(here, name)
        if not budgets.remove(tx, caller.tenant, name):
            raise _unknown(name)
        return Made(name, name, 204)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    return Response(status_code=204, headers=done.headers)


def _named(
    connection: Connection, here: Gateway, caller: Caller, name: str, of: Of = (None, None)
) -> BudgetView:
    entry = here.config.budgets.get(name)
    found = budgets.declared({name: entry})[0] if entry else budgets.get(connection, caller.tenant, name)
    if found is None:
        raise _unknown(name)
    return _view(connection, caller, found, of)


def _view(connection: Connection, caller: Caller, budget: Budget, of: Of = (None, None)) -> BudgetView:
    """`of` are the actor and the run whose account is asked for."""
    actor_id, run_id = of
    owners = {"project": "", "actor": budget.actor_id or actor_id, "run": run_id}
    whose = owners.get(budget.scope)
    if whose is None:
        return BudgetView(**budget.model_dump())
    account = spending.account_id(caller.tenant, budget, whose, now(connection))
    counted = spending.counted(connection, account)
    spent = Spent(
        tokens=counted.spent.tokens,
        cost_usd=usd(counted.spent.nanos),
        seconds=counted.spent.ms / 1000,
        held_tokens=counted.held.tokens,
        held_cost_usd=usd(counted.held.nanos),
        held_seconds=counted.held.ms / 1000,
    )
    return BudgetView(**budget.model_dump(), spent=spent)


def _refuse_declared(here: Gateway, name: str) -> None:
    if name in here.config.budgets:
        message = f"name: the budget {name!r} stands in rhone.toml and is changed there"
        raise Conflict("quota.budget_declared", message, param="name")


def _unknown(name: str) -> NotFound:
    return NotFound("quota.budget_not_found", f"there is no budget {name[:200]!r}")
