"""Commands that set-up runs, and what it says about them."""

import io
import json
from pathlib import Path

import pytest

from cli.setup.process import Workshop
from cli.setup.report import Report, SetupFailed


def test_a_command_that_fails_shows_the_end_of_its_log(tmp_path: Path) -> None:
    workshop = Workshop("image", tmp_path / "logs", Report(io.StringIO(), as_json=False))
    with pytest.raises(SetupFailed) as failure:
        workshop.run(["sh", "-c", "echo first; echo no mirror answers >&2; exit 3"])
    assert str(failure.value).endswith("first\nno mirror answers")
    assert "`sh` failed" in str(failure.value)


def test_the_json_report_is_one_object_a_line() -> None:
    out = io.StringIO()
    report = Report(out, as_json=True)
    report.say("go", "installing")
    report.say("image", "done")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["part"], line["text"]) for line in lines] == [("go", "installing"), ("image", "done")]
