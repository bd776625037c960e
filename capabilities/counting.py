"""Counting tools: one per effect class, for trying policies, approvals and crashes on a world that counts."""

from protocol.noun import JSONObject
from protocol.tool import Effect, ToolDefinition

CLASSES: tuple[Effect, ...] = ("read_only", "idempotent_write", "non_idempotent_write", "workspace")
UNDO = "Take one off the counter."


def counting_definitions() -> tuple[ToolDefinition, ...]:
    schema: JSONObject = {
        "type": "object",
        "properties": {"note": {"type": "string"}},
        "additionalProperties": False,
    }
    return tuple(
        ToolDefinition(
            name=f"count_{effect}",
            description=f"Adds one to a counter; declared as {effect}.",
            input_schema=schema,
            source="native",
            effect=effect,
            compensation=UNDO if effect == "non_idempotent_write" else None,
        )
        for effect in CLASSES
    )
