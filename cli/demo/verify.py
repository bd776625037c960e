"""What has to be true when the demo is over, decided from what was seen and what is on the forge."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from cli.demo.project import STARTED
from protocol.event import TERMINAL_EVENTS
from protocol.noun import JSONObject

_START = re.compile(rf"{STARTED}\s+(\d+)")


@dataclass(frozen=True)
class Outcome:
    """All that the demo saw. `kept` is the log as it is stored, `streamed` as it was shown while it grew."""

    streamed: Sequence[JSONObject]
    kept: Sequence[JSONObject]
    run: JSONObject
    interrupted: str
    """The tool execution in the middle of which the worker was killed."""
    killed_at: str
    approval: JSONObject
    operator: str
    pulls: Sequence[dict[str, Any]]
    branch_head: str | None


def faults(outcome: Outcome) -> list[str]:
    """What is not as it has to be; nothing is the good answer."""
    return [*_log(outcome), *_commands(outcome), *_approval(outcome), *_forge(outcome)]


def findings(told: str) -> list[str]:
    """What `rhone reconcile --json` said is wrong."""
    try:
        return [f"reconcile: {one['subject']}: {one['text']}" for one in json.loads(told)["findings"]]
    except (ValueError, KeyError):
        return [f"reconcile failed: {told[-1000:]}"]


def _log(outcome: Outcome) -> Iterator[str]:
    numbers = [event["seq"] for event in outcome.kept]
    if numbers != list(range(1, len(numbers) + 1)):
        yield f"the events are not 1..{len(numbers)}: {numbers}"
    if list(outcome.streamed) != list(outcome.kept):
        yield "the stream that was shown is not the log that is kept"
    ends = [event["type"] for event in outcome.kept if event["type"] in TERMINAL_EVENTS]
    if ends != ["run.completed"] or outcome.kept[-1]["type"] != "run.completed":
        yield f"the run did not end once, completed, and last: {ends}"
    if outcome.run["status"] != "completed" or outcome.run["last_seq"] != len(numbers):
        yield f"the run says {outcome.run['status']} and {outcome.run['last_seq']} events"


def _commands(outcome: Outcome) -> Iterator[str]:
    starts = [int(number) for text in outputs(outcome.kept).values() for number in _START.findall(text)]
    if starts != list(range(1, len(starts) + 1)):
        yield f"the suite was not started once per command: {starts}"
    own = _START.findall(outputs(outcome.kept).get(outcome.interrupted, ""))
    if len(own) != 1:
        yield f"the command that lost its worker was started {len(own)} times"
    if not any(_goes_on(event, outcome) for event in outcome.kept):
        yield "no command went on after the worker was killed"
    for event in outcome.kept:
        if event["type"] == "tool_execution.started" and event["attempt"] != 1:
            yield f"{event['tool_execution_id']} was started in attempt {event['attempt']}"


def _goes_on(event: JSONObject, outcome: Outcome) -> bool:
    """A dead worker commits nothing, so what is later than its death came from the next one."""
    mine = event.get("tool_execution_id") == outcome.interrupted
    return mine and cast(str, event["at"]) > outcome.killed_at


def _approval(outcome: Outcome) -> Iterator[str]:
    if outcome.approval["status"] != "redeemed":
        yield f"the approval is {outcome.approval['status']}"
    deciders = [one["by"] for one in cast(list[JSONObject], outcome.approval["decisions"])]
    if deciders != [outcome.operator]:
        yield f"the approval was decided by {deciders}"


def _forge(outcome: Outcome) -> Iterator[str]:
    approved = cast(Any, outcome.approval["envelope"])["push"]["new"]
    heads = [pull["head"]["sha"] for pull in outcome.pulls]
    if heads != [approved]:
        yield f"approved is {approved}, and the forge has pull requests at {heads}"
    if outcome.branch_head != approved:
        yield f"approved is {approved}, and the branch is at {outcome.branch_head}"


def outputs(events: Sequence[JSONObject]) -> dict[str, str]:
    """What every command wrote on its standard output, in the order of their first words."""
    out: dict[str, str] = {}
    for event in events:
        if event["type"] == "tool_execution.output" and event["stream"] == "stdout":
            name = cast(str, event["tool_execution_id"])
            out[name] = out.get(name, "") + cast(str, event["delta"])
    return out
