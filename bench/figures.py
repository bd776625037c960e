"""Figures of one run: pairs of baseline and Rhone, what is made of them, and what makes them doubtful."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import fmean, median, quantiles
from typing import Literal

UNSTEADY = 0.25
"""A baseline that varies by more than this between the repeats says that the machine was not quiet."""


@dataclass(frozen=True)
class Goal:
    """What must be reached: by the ratio to the baseline, or by Rhone's own figure."""

    sign: Literal["<=", ">="]
    limit: float
    of: Literal["ratio", "ours"] = "ratio"

    def is_met(self, value: float) -> bool:
        return value <= self.limit if self.sign == "<=" else value >= self.limit


@dataclass(frozen=True)
class Pair:
    """One repeat: the same quantity for the baseline and for Rhone."""

    base: float
    ours: float

    @property
    def ratio(self) -> float:
        return self.ours / self.base if self.base else float("inf")


@dataclass(frozen=True)
class Row:
    """One claim of the table: Rhone against a baseline, or a figure that stands alone.

    `why` is the cause that is told where the goal is missed.
    """

    claim: str
    unit: str
    pairs: tuple[Pair, ...]
    goals: tuple[Goal, ...] = ()
    why: str = ""

    @property
    def base(self) -> float:
        return median(pair.base for pair in self.pairs)

    @property
    def ours(self) -> float:
        return median(pair.ours for pair in self.pairs)

    @property
    def ratio(self) -> float:
        """The median of the repeats' ratios, not the ratio of the medians."""
        return median(pair.ratio for pair in self.pairs)

    @property
    def has_baseline(self) -> bool:
        return all(pair.base == pair.base for pair in self.pairs)

    @property
    def met(self) -> bool | None:
        """None where nothing was asked."""
        if not self.goals:
            return None
        return all(goal.is_met(self.ratio if goal.of == "ratio" else self.ours) for goal in self.goals)

    @property
    def spread(self) -> float:
        """How far the baseline's repeats lie apart, as a share of their median."""
        bases = [pair.base for pair in self.pairs]
        return (max(bases) - min(bases)) / self.base if self.has_baseline and self.base else 0.0


def alone(value: float) -> Pair:
    """A figure that has no baseline."""
    return Pair(base=float("nan"), ours=value)


def intervals(moments: Sequence[float]) -> list[float]:
    return [after - before for before, after in pairwise(moments)]


def middle(values: Sequence[float]) -> float:
    """The mean of the middle half: as steady as the median, and finer than the clock's milliseconds."""
    ordered, cut = sorted(values), len(values) // 4
    return fmean(ordered[cut : len(ordered) - cut])


def percentile(values: Sequence[float], percent: int) -> float:
    return median(values) if len(values) < 2 else quantiles(values, n=100, method="inclusive")[percent - 1]


def growth(values: Sequence[float]) -> float:
    """From the first fifth of a series to the last, as a share of the first: 0 is flat."""
    fifth = len(values) // 5
    return middle(values[-fifth:]) / middle(values[:fifth]) - 1


def warnings(row: Row) -> tuple[str, ...]:
    """What a reader must know before believing the row."""
    said = [row.why] if row.met is False and row.why else []
    if row.spread > UNSTEADY:
        said.append(f"not steady: the baseline varied by {row.spread:.0%} between the repeats")
    return tuple(said)


HEAD = ("what", "baseline", "Rhone", "ratio", "goal", "met")


def cells(row: Row) -> tuple[str, ...]:
    base = f"{_number(row.base)} {row.unit}".strip() if row.has_baseline else "–"
    ratio = f"{row.ratio:.2f}" if row.has_baseline else "–"
    goal = ", ".join(_goal(one, row.unit) for one in row.goals) or "–"
    met = {True: "yes", False: "**no**", None: "–"}[row.met]
    return (row.claim, base, f"{_number(row.ours)} {row.unit}".strip(), ratio, goal, met)


def table(rows: Sequence[Row]) -> str:
    """A Markdown table, and under it what must be known of single rows."""
    lines = [_line(HEAD), _line(["---"] * len(HEAD)), *(_line(cells(row)) for row in rows)]
    said = [f"- {row.claim}: {text}." for row in rows for text in warnings(row)]
    return "\n".join([*lines, *([""] if said else []), *said]) + "\n"


def _goal(goal: Goal, unit: str) -> str:
    sign = {"<=": "≤", ">=": "≥"}[goal.sign]
    return f"{sign} {goal.limit:g}" + (f" {unit}".rstrip() if goal.of == "ours" else "")


def _line(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _number(value: float) -> str:
    if value == 0:
        return "0"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 1 else 3
    return f"{value:,.{digits}f}"
