"""Commands that set-up runs, and what it says about them."""

import io
import json
from pathlib import Path

import pytest

from cli.setup.process import Workshop, tail
from cli.setup.report import Report, SetupFailed


def test_a_command_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    workshop = Workshop("image", tmp_path / "logs", Report(io.StringIO(), as_json=False))
    with pytest.raises(SetupFailed) as failure:
        workshop.run(["sh", "-c", "echo first; echo no mirror answers >&2; exit 3"])
    command = "$ sh -c echo first; echo no mirror answers >&2; exit 3"
    assert str(failure.value) == (
        f"a command failed; the end of {workshop.log}:\n{command}\nfirst\nno mirror answers"
    )


def test_the_end_of_a_log_begins_with_its_last_command(tmp_path: Path) -> None:
    workshop = Workshop("image", tmp_path / "logs", Report(io.StringIO(), as_json=False))
    workshop.run(["echo", "earlier"])
    assert workshop.try_run(["sh", "-c", "seq 100; exit 1"]) == 1
    assert tail(workshop.log, lines=2) == "$ sh -c seq 100; exit 1\n99\n100"


def test_the_json_report_is_one_object_a_line() -> None:
    out = io.StringIO()
    report = Report(out, as_json=True)
    report.say("go", "installing")
    report.say("image", "done")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["part"], line["text"]) for line in lines] == [("go", "installing"), ("image", "done")]
