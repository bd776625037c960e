"""Answers on standard output."""

import pytest

from cli import show
from cli.timeline import timeline
from protocol.noun import JSONObject


def test_a_table_is_never_cut_and_steers_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("ID", "NAME"), [("x" * 40, "\x1b[2J"), (1, None)], empty="nothing")
    assert capsys.readouterr().out == f"{'ID':40}  NAME\n{'x' * 40}  \\u{{1b}}[2J\n1\n"


def test_a_table_without_rows_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    show.table(("ID",), [], empty="nothing waits")
    assert capsys.readouterr().out == "nothing waits\n"


def test_only_facts_that_are_there_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    show.facts([("run", "run_1"), ("error", None), ("steps", 0), ("says", "")])
    assert capsys.readouterr().out == "run    run_1\nsteps  0\n"


def test_a_timeline_leaves_fragments_out_and_names_tools() -> None:
    def event(seq: int, kind: str, **fields: str | int) -> JSONObject:
        return {"seq": seq, "at": f"2026-01-01T00:00:0{seq}.500Z", "type": kind, **fields}

    events = [
        event(1, "run.created"),
        event(2, "tool_execution.requested", tool_execution_id="t", tool="bash", step=1),
        event(3, "tool_execution.output", tool_execution_id="t"),
        event(4, "tool_execution.completed", tool_execution_id="t", attempt=2, outcome="failed"),
    ]
    assert timeline(events) == [
        (1, "0.00 s", "run.created", ""),
        (2, "1.00 s", "tool_execution.requested", "bash 1"),
        (4, "3.00 s", "tool_execution.completed", "bash failed attempt 2"),
    ]
