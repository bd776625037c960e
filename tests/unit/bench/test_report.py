"""The page that the benches write."""

from pathlib import Path

from bench.figures import Pair, Row
from bench.report import Measured, sections, write

NAMES = ("step", "turn")


def measured(ours: float) -> Measured:
    row = Row("durable step : bare activity", "ms", (Pair(10.0, ours),))
    return Measured("`step`: what a step costs.", [row], (0.1, 1.9))


def test_every_bench_gets_its_words_its_table_and_how_busy_the_machine_was(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    write("step", measured(12.0), repeats=3, order=NAMES, file=file)
    page = file.read_text()
    assert "median of 3 repeats" in " ".join(page.split())
    assert "\n## step\n\nWhat a step costs.\n\n| what |" in page
    assert "| durable step : bare activity | 10.0 ms | 12.0 ms | 1.20 | – | – |" in page
    assert "Load average before and after: 0.1 and 1.9" in page


def test_a_bench_that_is_measured_anew_leaves_the_others_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "performance.md"
    write("turn", measured(13.0), repeats=3, order=NAMES, file=file)
    other = sections(file.read_text())["turn"]
    write("step", measured(12.0), repeats=3, order=NAMES, file=file)
    write("step", measured(11.0), repeats=3, order=NAMES, file=file)
    page = file.read_text()
    assert page.index("## step") < page.index("## turn")
    assert page.count("## step") == 1
    assert "11.0 ms" in page
    assert "12.0 ms" not in page
    assert sections(page)["turn"] == other
