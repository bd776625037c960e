"""Tool calls of a run: each effect class, side by side and in turn, refused, unfit, stopped by a budget."""

import pytest

from tests.stack import Stack, of_type

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="module")]

CLASSES = ("read_only", "idempotent_write", "non_idempotent_write", "workspace")
COUNTING = [{"kind": "tool", "name": f"count_{effect}"} for effect in CLASSES]
READING = COUNTING[:1]

SCRIPT = """
[[scenarios]]
when = "^one of each"
[[scenarios.turns]]
text = "I count."
tool_calls = [
  { name = "count_read_only" },
  { name = "count_idempotent_write", arguments = { note = "n" } },
  { name = "count_non_idempotent_write" },
  { name = "count_workspace" },
]
[[scenarios.turns]]
text = "Last I saw: {last_result}"

[[scenarios]]
when = "^unfit"
[[scenarios.turns]]
tool_calls = [
  { name = "no_such_tool" },
  { name = "count_read_only", arguments = { note = 7 } },
  { name = "count_read_only", arguments = { other = "x" } },
  { name = "count_read_only", arguments = '{"note": "bro' },
  { name = "count_read_only", arguments = "[1]" },
  { name = "bash", arguments = { command = "true" } },
]
[[scenarios.turns]]
text = "All refused."

[[scenarios]]
when = "^forever"
loop = true
[[scenarios.turns]]
tool_calls = [{ name = "count_read_only" }, { name = "count_read_only" }]
usage = { input = 600, output = 400 }
"""


async def test_every_effect_class_happens_once_and_the_model_sees_each_result(stack: Stack) -> None:
    run = await stack.create("one of each", capabilities=COUNTING)
    told = await stack.ended(run)
    assert sorted(one.effect for one in stack.counted(told)) == sorted(CLASSES)
    completed = of_type(told, "tool_execution.completed")
    assert [(event["outcome"], event["is_error"], event["attempt"]) for event in completed] == [
        ("succeeded", False, 1)
    ] * 4
    assert all(event["preview"] == "counted 1" for event in completed)
    assert told[-1]["output_text"] == "Last I saw: counted 1"
    assert of_type(told, "step.completed")[0]["step"] == 1


@pytest.mark.parametrize("parallel", [True, False])
async def test_calls_of_a_turn_run_side_by_side_or_in_their_order(stack: Stack, parallel: bool) -> None:
    run = await stack.create("one of each", capabilities=COUNTING, limits={"parallel_tools": parallel})
    told = await stack.ended(run)
    requested = [event["tool_execution_id"] for event in of_type(told, "tool_execution.requested")]
    life = [
        (event["type"].rpartition(".")[2], requested.index(event["tool_execution_id"]))
        for event in told
        if event["type"] in ("tool_execution.started", "tool_execution.completed")
    ]
    in_turn = [(what, number) for number in range(4) for what in ("started", "completed")]
    assert (life == in_turn) is not parallel
    assert sorted(life) == sorted(in_turn)


async def test_calls_that_do_not_fit_are_error_results_that_say_why(stack: Stack) -> None:
    run = await stack.create("unfit", capabilities=READING)
    told = await stack.ended(run)
    assert told[-1]["output_text"] == "All refused."
    requested = {e["tool_execution_id"]: e for e in of_type(told, "tool_execution.requested")}
    ends = {e["tool_execution_id"]: e for e in of_type(told, "tool_execution.completed")}
    previews = [ends[execution].get("preview") for execution in requested]
    assert previews[0] == "There is no tool 'no_such_tool'. The tools are: count_read_only."
    assert all(str(said).startswith("The arguments do not fit 'count_read_only'") for said in previews[1:3])
    assert all("its arguments are not a JSON object" in str(said) for said in previews[3:5])
    assert previews[5] == "There is no tool 'bash'. The tools are: count_read_only."
    assert all(end["is_error"] for end in ends.values())
    assert stack.counted(told) == []


async def test_a_tool_that_the_policy_forbids_is_denied_with_its_rule(stack: Stack) -> None:
    run = await stack.create("unfit", capabilities=[*READING, {"kind": "tool", "name": "bash"}])
    told = await stack.ended(run)
    assert of_type(told, "capability.resolved")[0]["denials"]["names"] == ["bash"]
    denied = of_type(told, "tool_execution.denied")
    assert len(denied) == 1
    assert denied[0]["rule"]


async def test_the_limit_of_turns_ends_a_run_before_the_next_turn(stack: Stack) -> None:
    run = await stack.create("forever", capabilities=READING, limits={"max_turns": 3})
    told = await stack.ended(run)
    assert (told[-1]["type"], told[-1]["stop_reason"]) == ("run.completed", "max_turns")
    assert len(of_type(told, "call.started")) == 3
    assert len(stack.counted(told)) == 6


async def test_a_batch_that_would_pass_the_limit_of_calls_is_not_executed(stack: Stack) -> None:
    run = await stack.create("forever", capabilities=READING, limits={"max_tool_calls": 3})
    told = await stack.ended(run)
    assert (told[-1]["type"], told[-1]["stop_reason"]) == ("run.completed", "max_tool_calls")
    assert len(stack.counted(told)) == 2
    outcomes = [event["outcome"] for event in of_type(told, "tool_execution.completed")]
    assert outcomes == ["succeeded", "succeeded", "not_executed", "not_executed"]


async def test_a_turn_that_passes_the_token_budget_is_the_last_and_its_calls_are_not_executed(
    stack: Stack,
) -> None:
    run = await stack.create("forever", capabilities=READING, limits={"max_tokens": 2500})
    told = await stack.ended(run)
    assert (told[-1]["type"], told[-1]["stop_reason"]) == ("run.completed", "max_tokens")
    assert told[-1]["usage"]["total"] == 3000
    outcomes = [event["outcome"] for event in of_type(told, "tool_execution.completed")]
    assert outcomes == ["succeeded"] * 4 + ["not_executed"] * 2


async def test_a_token_budget_that_is_just_used_up_forbids_the_next_turn(stack: Stack) -> None:
    run = await stack.create("forever", capabilities=READING, limits={"max_tokens": 2000})
    told = await stack.ended(run)
    assert told[-1]["stop_reason"] == "max_tokens"
    assert told[-1]["usage"]["total"] == 2000
    assert len(stack.counted(told)) == 4
