"""Events: one flat object each, read back as what they were."""

from typing import get_args

import pytest
from pydantic import BaseModel, ValidationError

from protocol.event import (
    COMMON_FIELDS,
    TERMINAL_EVENTS,
    EventBody,
    RunCompleted,
    ToolOutput,
    body_of,
)
from protocol.ids import ToolExecutionId
from protocol.usage import Usage, add

CLASSES: tuple[type[BaseModel], ...] = get_args(get_args(EventBody)[0])
NAMES = {kind.model_fields["type"].default: kind for kind in CLASSES}

OF_THE_CONTRACT = """\
run.created run.started capability.resolved target.materialized target.lost step.started step.completed
call.started response.delta thinking.delta call.attempt_voided call.completed call.failed
tool_execution.requested tool_execution.denied tool_execution.started tool_execution.output
tool_execution.completed artifact.saved checkpoint.opened checkpoint.decided checkpoint.expired
checkpoint.cancelled
checkpoint.redeemed checkpoint.revoked checkpoint.deferred input.received run.interrupted run.waiting
egress.denied run.resumed subrun.started subrun.completed run.completed run.failed run.cancelled run.timed_out
"""


def test_the_events_are_those_of_the_contract() -> None:
    assert sorted(NAMES) == sorted(OF_THE_CONTRACT.split())


def test_no_event_has_a_field_of_the_log() -> None:
    for name, kind in NAMES.items():
        assert not set(COMMON_FIELDS) - {"type"} & set(kind.model_fields), name


def test_exactly_the_four_ends_are_terminal() -> None:
    assert set(NAMES) >= TERMINAL_EVENTS
    ends = {
        name
        for name, kind in NAMES.items()
        if "stop_reason" in kind.model_fields and "usage" in kind.model_fields
    }
    assert ends - {"call.completed"} == TERMINAL_EVENTS


def test_a_stored_event_is_read_back_as_its_body() -> None:
    log = {"seq": 7, "run_id": "run_1", "session_id": "sess_1", "at": "2026-01-01T00:00:00.000Z"}
    output = ToolOutput(
        tool_execution_id=ToolExecutionId("tool_1"), attempt=1, stream="stdout", offset=0, delta="x"
    )
    ended = RunCompleted(stop_reason="end_turn", usage=Usage(total=3))
    for body in (output, ended):
        assert body_of({**body.model_dump(mode="json"), **log}) == body


@pytest.mark.parametrize(
    "flat",
    [{"type": "run.exploded"}, {}, {"type": "step.started"}, {"type": "step.started", "step": 1, "x": 2}],
)
def test_an_event_that_nobody_knows_is_refused(flat: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        body_of(flat)  # pyright: ignore[reportArgumentType]


def test_usage_adds_up_and_an_estimate_stays_one() -> None:
    one = Usage(input_uncached=1, cache_read=2, cache_write=3, output_total=4, output_reasoning=5, total=10)
    other = one.model_copy(update={"estimated": True})
    assert add(one, other) == Usage(
        input_uncached=2,
        cache_read=4,
        cache_write=6,
        output_total=8,
        output_reasoning=10,
        total=20,
        estimated=True,
    )
