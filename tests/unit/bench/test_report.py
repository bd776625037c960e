"""The page that the benches write."""

from bench.figures import Pair, Row
from bench.report import Measured, text


def test_every_bench_gets_its_words_its_table_and_how_busy_the_machine_was() -> None:
    row = Row("durable step : bare activity", "ms", (Pair(10.0, 12.0),))
    page = text({"step": Measured("`step`: what a step costs.", [row], (0.1, 1.9))}, repeats=3)
    assert "median of 3 repeats" in " ".join(page.split())
    assert "\n## step\n\nWhat a step costs.\n\n| what |" in page
    assert "| durable step : bare activity | 10.0 ms | 12.0 ms | 1.20 | – | – |" in page
    assert "Load average before and after: 0.1 and 1.9" in page
