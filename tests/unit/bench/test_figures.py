"""What is made of the figures of a run."""

import pytest

from bench.figures import (
    Goal,
    Pair,
    Row,
    alone,
    growth,
    intervals,
    middle,
    percentile,
    table,
    warnings,
)

STEADY = (Pair(base=10.0, ours=12.0), Pair(base=10.5, ours=12.6), Pair(base=9.5, ours=9.5))


def test_the_ratio_is_the_median_of_the_repeats_ratios() -> None:
    row = Row("step", "ms", STEADY)
    assert (row.base, row.ours, row.ratio) == (10.0, 12.0, pytest.approx(1.2))


@pytest.mark.parametrize(
    ("goals", "met"),
    [
        ((), None),
        ((Goal("<=", 1.25),), True),
        ((Goal("<=", 1.1),), False),
        ((Goal(">=", 1.1),), True),
        ((Goal("<=", 12.0, of="ours"),), True),
        ((Goal("<=", 1.25), Goal("<=", 11.0, of="ours")), False),
    ],
)
def test_a_goal_is_met_by_the_ratio_or_by_our_own_figure(goals: tuple[Goal, ...], met: bool | None) -> None:
    assert Row("step", "ms", STEADY, goals).met is met


def test_a_baseline_that_varies_by_more_than_a_quarter_is_told() -> None:
    shaken = Row("step", "ms", (Pair(10.0, 12.0), Pair(13.0, 14.0), Pair(10.0, 12.0)))
    assert warnings(Row("step", "ms", STEADY)) == ()
    assert warnings(shaken) == ("not steady: the baseline varied by 30% between the repeats",)


def test_the_cause_of_a_miss_is_told_only_where_the_goal_is_missed() -> None:
    missed = Row("step", "ms", STEADY, (Goal("<=", 1.1),), why="one more commit")
    met = Row("step", "ms", STEADY, (Goal("<=", 1.3),), why="one more commit")
    assert (warnings(missed), warnings(met)) == (("one more commit",), ())


def test_the_middle_half_is_averaged_and_outliers_are_left_out() -> None:
    assert middle([1.0, 10.0, 11.0, 500.0]) == 10.5
    assert middle([7.0]) == 7.0


def test_growth_compares_the_last_fifth_with_the_first() -> None:
    assert growth([10.0] * 50) == 0.0
    assert growth([10.0] * 10 + [10.5] * 30 + [11.0] * 10) == pytest.approx(0.1)


def test_intervals_and_percentiles() -> None:
    assert intervals([1.0, 3.0, 6.0]) == [2.0, 3.0]
    assert percentile([float(n) for n in range(101)], 99) == pytest.approx(99.0)
    assert percentile([4.0], 99) == 4.0


def test_the_table_shows_the_misses_and_figures_without_a_baseline() -> None:
    rows = [
        Row("step", "ms", STEADY, (Goal("<=", 1.1),), why="one more commit"),
        Row("lost", "", (alone(0.0),), (Goal("<=", 0, of="ours"),)),
        Row("rate", "/s", (Pair(2000.0, 1500.0),), (Goal(">=", 0.5),)),
    ]
    assert table(rows).splitlines() == [
        "| what | baseline | Rhone | ratio | goal | met |",
        "| --- | --- | --- | --- | --- | --- |",
        "| step | 10.0 ms | 12.0 ms | 1.20 | ≤ 1.1 | **no** |",
        "| lost | – | 0 | – | ≤ 0 | yes |",
        "| rate | 2,000 /s | 1,500 /s | 0.75 | ≥ 0.5 | yes |",
        "",
        "- step: one more commit.",
    ]
