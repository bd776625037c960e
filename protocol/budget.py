"""Budgets: what calls, runs, actors and projects may take of models, and who is asked beyond it.

Money is counted in whole billionths of a US dollar and time in milliseconds, so that sums are exact.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from protocol.ids import RunId
from protocol.noun import Moment, Noun

NANOS = 1_000_000_000

Scope = Literal["call", "run", "actor", "project"]
Period = Literal["day", "month", "total"]
OnExceed = Literal["stop", "ask"]


class BudgetEntry(Noun):
    """A budget as it is declared. Of the scope `actor` it counts for `actor_id`, or without one for each
    actor by itself; of `run` for each run, of `call` for each model call. `max_seconds` is of the time that
    calls take. Days and months are those of UTC."""

    scope: Scope = "project"
    actor_id: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    period: Period = "total"
    max_tokens: Annotated[int, Field(ge=1, le=10**15)] | None = None
    max_cost_usd: Annotated[float, Field(gt=0, le=10**9)] | None = None
    max_seconds: Annotated[float, Field(ge=1, le=10**9)] | None = None
    on_exceed: OnExceed = "stop"

    @model_validator(mode="after")
    def _limits_something(self) -> "BudgetEntry":
        if self.max_tokens is None and self.max_cost_usd is None and self.max_seconds is None:
            raise ValueError("one of `max_tokens`, `max_cost_usd` and `max_seconds` is needed")
        if self.scope in ("call", "run") and self.period != "total":
            raise ValueError("`period` goes with the scopes `actor` and `project`")
        if self.actor_id is not None and self.scope != "actor":
            raise ValueError("`actor_id` goes with the scope `actor`")
        return self


class Budget(BudgetEntry):
    """A budget under its name; `declared` where it stands in `rhone.toml` and holds for every project."""

    name: str
    declared: bool = False
    created_at: Moment | None = None
    updated_at: Moment | None = None


class Amount(Noun):
    """Tokens, billionths of a dollar, and milliseconds."""

    tokens: int = 0
    nanos: int = 0
    ms: int = 0


class Payer(Noun):
    """For whom a call is made: the run, and the actor of its session."""

    run_id: RunId
    actor_id: str | None = None

    def of(self, scope: Scope) -> str:
        """Whose account of a budget it is."""
        return (self.actor_id or "") if scope == "actor" else self.run_id if scope == "run" else ""


class Account(Noun):
    """What is counted against one limit: spent for good, and held for calls that are under way. Without an
    id nothing is counted: the limit is of each call by itself."""

    id: str
    budget: str
    max_tokens: int | None = None
    max_nanos: int | None = None
    max_ms: int | None = None
    spent: Amount = Amount()
    held: Amount = Amount()
    on_exceed: OnExceed = "stop"


def nanos(usd: float) -> int:
    return round(usd * NANOS)


def usd(nanos: int) -> float:
    return nanos / NANOS


def period_key(period: Period, at: datetime) -> str:
    """The name of the period that a moment is in."""
    match period:
        case "day":
            return at.strftime("%Y-%m-%d")
        case "month":
            return at.strftime("%Y-%m")
        case "total":
            return "total"
