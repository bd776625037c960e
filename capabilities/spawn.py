"""The tool `spawn`: what a run says to start another one, and how much of its own limits that one gets."""

from typing import Annotated

from pydantic import Field, ValidationError

from capabilities.offer import Missing
from protocol.capability import Capability
from protocol.errors import Refused
from protocol.noun import JSON, JSONObject, Noun
from protocol.run import Limits, LimitsPatch
from protocol.subrun import SubrunsEntry
from protocol.tool import ToolDefinition

SPAWN = "spawn"

_COUNTED: dict[str, str] = {
    "max_turns": "At most so many model turns, those of its own subruns included.",
    "max_tool_calls": "At most so many tool calls, those of its own subruns included.",
    "max_tokens": "At most so many tokens, its own subruns included.",
    "timeout_ms": "At most so many milliseconds of work.",
}


class SpawnOrder(Noun):
    """The arguments of a call."""

    task: Annotated[str, Field(min_length=1)]
    capabilities: tuple[Capability, ...] = ()
    workspace: bool = False
    limits: LimitsPatch = LimitsPatch()


def spawn_order(arguments: JSONObject) -> SpawnOrder:
    """Raises Refused with the field that does not fit."""
    try:
        return SpawnOrder.model_validate(arguments)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise Refused("subrun.invalid", f"{place}: {first['msg']}") from error


def limits_within(own: Limits, asked: LimitsPatch) -> Limits:
    """What a subrun gets: what is asked for it, and never more than the run has itself. 0 is off."""

    def least(name: str) -> int | float:
        found = (getattr(own, name), getattr(asked, name))
        return min((one for one in found if one), default=0)

    named = ("max_turns", "max_tool_calls", "max_tokens", "max_cost_usd", "timeout_ms", "tool_timeout_ms")
    return own.model_copy(update={name: least(name) for name in named} | {"on_exceed": "stop"})


def without_subruns(entry: SubrunsEntry) -> dict[str, Missing]:
    """What the catalogue says where no run is to spawn another."""
    reason = "`[subruns] max_depth` is 0"
    return {} if entry.max_depth else {SPAWN: Missing(name=SPAWN, rule="subrun.depth", reason=reason)}


def spawn_tools() -> tuple[ToolDefinition, ...]:
    counted: JSONObject = {name: _count(words) for name, words in _COUNTED.items()}
    limits: JSONObject = {
        **counted,
        "max_cost_usd": {"type": "number", "description": "At most so many dollars.", "exclusiveMinimum": 0},
    }
    properties: JSONObject = {
        "task": {
            "type": "string",
            "description": "All that it is told: it sees nothing of this conversation. Say what the result "
            "should hold.",
            "minLength": 1,
        },
        "capabilities": {
            "type": "array",
            "description": "What it may do, each of what you may do yourself: "
            '{"kind": "tool", "name": "bash"}, {"kind": "mcp", "server": "s", "tools": ["t"]}, '
            '{"kind": "skill", "ref": "name@1"}, {"kind": "memory", "scope": "project", "access": "read"}, '
            '{"kind": "vault", "name": "v", "access": "read"}, {"kind": "egress", "bundle": "pypi"}. '
            'A tool with "approval": "ask" asks a person '
            "each time. Default: nothing, or with a workspace the usual tools for one.",
            "items": {"type": "object", "required": ["kind"]},
            "maxItems": 200,
        },
        "workspace": {
            "type": "boolean",
            "description": "Whether it gets a workspace of its own: a copy of yours as your last finished "
            "step left it. What it changes there does not come back by itself. Default: no.",
        },
        "limits": {
            "type": "object",
            "description": "Less than your own limits.",
            "properties": limits,
            "additionalProperties": False,
        },
    }
    return (
        ToolDefinition(
            name=SPAWN,
            description="Start a subrun: another agent that works on one task by itself, while you wait, and "
            "whose last words are the result. Call it several times in one turn to have several work at "
            "once. It never may do more than you, and what it spends is taken from your limits.",
            input_schema={
                "type": "object",
                "properties": properties,
                "required": ["task"],
                "additionalProperties": False,
            },
            source="native",
            effect="idempotent_write",
        ),
    )


def _count(description: str) -> JSON:
    return {"type": "integer", "description": description, "minimum": 1}
