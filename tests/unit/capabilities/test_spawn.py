"""`spawn`: what a run may say to start another, and how much of its limits that one gets."""

import pytest

from capabilities.arguments import check_arguments
from capabilities.spawn import limits_within, spawn_order, spawn_tools, without_subruns
from protocol.capability import ToolCapability
from protocol.errors import Refused
from protocol.noun import JSONObject
from protocol.run import Limits, LimitsPatch
from protocol.subrun import SubrunsEntry

[TOOL] = spawn_tools()


def test_an_order_is_read_with_its_capabilities() -> None:
    said: JSONObject = {"task": "look", "capabilities": [{"kind": "tool", "name": "bash", "approval": "ask"}]}
    assert check_arguments(TOOL, said) is None
    order = spawn_order(said)
    assert order.capabilities == (ToolCapability(kind="tool", name="bash", approval="ask"),)
    assert (order.workspace, order.limits) == (False, LimitsPatch())


@pytest.mark.parametrize(
    ("said", "place"),
    [
        ({"task": "look", "capabilities": [{"kind": "tool"}]}, "capabilities.0"),
        ({"task": "look", "capabilities": [{"kind": "magic", "name": "x"}]}, "capabilities.0"),
        ({"task": "look", "workspace": "perhaps"}, "workspace"),
    ],
)
def test_an_order_that_does_not_read_names_the_place(said: JSONObject, place: str) -> None:
    with pytest.raises(Refused, match=place):
        spawn_order(said)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"task": ""},
        {"task": "look", "limits": {"max_turns": 0}},
        {"task": "look", "limits": {"on_exceed": "ask"}},
        {"task": "look", "model": "another"},
    ],
)
def test_the_schema_refuses_what_is_not_offered(said: JSONObject) -> None:
    assert check_arguments(TOOL, said) is not None


def test_a_subrun_gets_the_least_of_what_is_asked_for_and_what_there_is() -> None:
    own = Limits(max_turns=10, max_tool_calls=0, max_tokens=1_000, max_cost_usd=0.5, on_exceed="ask")
    asked = LimitsPatch(max_turns=50, max_tool_calls=7, max_cost_usd=0.25, timeout_ms=1_000)
    assert limits_within(own, asked) == Limits(
        max_turns=10,
        max_tool_calls=7,
        max_tokens=1_000,
        max_cost_usd=0.25,
        timeout_ms=1_000,
        tool_timeout_ms=own.tool_timeout_ms,
        on_exceed="stop",
    )


def test_without_a_level_there_is_no_such_tool() -> None:
    assert without_subruns(SubrunsEntry()) == {}
    assert without_subruns(SubrunsEntry(max_depth=0))["spawn"].rule == "subrun.depth"
