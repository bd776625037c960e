"""The demo's last word is only good when all of it was."""

from dataclasses import replace
from typing import Any

import pytest

from cli.demo.verify import Outcome, faults
from protocol.noun import JSONObject

COMMIT = "a" * 40


def log() -> list[JSONObject]:
    told: list[JSONObject] = [
        {"type": "run.created"},
        {"type": "tool_execution.started", "tool_execution_id": "tool_1", "attempt": 1},
        output("tool_1", "suite start number 1\none "),
        {**output("tool_1", "two\n"), "at": "2026-01-01T00:00:09.000Z"},
        {"type": "tool_execution.started", "tool_execution_id": "tool_2", "attempt": 1},
        output("tool_2", "suite start number 2\n"),
        {"type": "run.completed"},
    ]
    return [{"at": "2026-01-01T00:00:01.000Z", **event, "seq": seq} for seq, event in enumerate(told, 1)]


def output(execution: str, text: str) -> JSONObject:
    return {
        "type": "tool_execution.output",
        "tool_execution_id": execution,
        "stream": "stdout",
        "delta": text,
    }


def good() -> Outcome:
    return Outcome(
        streamed=log(),
        kept=log(),
        run={"status": "completed", "last_seq": 7},
        interrupted="tool_1",
        killed_at="2026-01-01T00:00:05.000Z",
        approval={
            "status": "redeemed",
            "decisions": [{"by": "prin_operator"}],
            "envelope": {"push": {"new": COMMIT}},
        },
        operator="prin_operator",
        pulls=[{"head": {"sha": COMMIT}}],
        branch_head=COMMIT,
    )


def changed(place: int, **fields: Any) -> list[JSONObject]:
    told = log()
    told[place] |= fields
    return told


def test_a_demo_in_which_all_went_well_has_no_faults() -> None:
    assert faults(good()) == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"kept": changed(3, seq=5)}, "the events are not 1..7"),
        ({"streamed": log()[:-1]}, "the stream that was shown is not the log"),
        ({"kept": changed(6, type="run.failed")}, "did not end once, completed, and last"),
        ({"kept": changed(0, type="run.completed")}, "did not end once, completed, and last"),
        ({"run": {"status": "completed", "last_seq": 8}}, "the run says completed and 8 events"),
        ({"kept": changed(5, delta="suite start number 3\n")}, "not started once per command: [1, 3]"),
        ({"kept": changed(3, delta="suite start number 2\n")}, "was started 2 times"),
        ({"kept": changed(4, attempt=2)}, "tool_2 was started in attempt 2"),
        ({"killed_at": "2026-01-01T00:01:00.000Z"}, "no command went on after the worker was killed"),
        ({"approval": good().approval | {"status": "approved"}}, "the approval is approved"),
        ({"operator": "prin_somebody"}, "was decided by ['prin_operator']"),
        ({"pulls": []}, "the forge has pull requests at []"),
        ({"pulls": [{"head": {"sha": COMMIT}}] * 2}, "the forge has pull requests at"),
        ({"branch_head": "b" * 40}, "the branch is at b"),
    ],
)
def test_what_went_wrong_is_found(change: dict[str, Any], fault: str) -> None:
    assert any(fault in found for found in faults(replace(good(), **change)))
