"""Tools over memory: one set for each scope that a run is granted, so that each grant is of one scope."""

from protocol.capability import MemoryCapability
from protocol.memory import LONGEST_TEXT, MemoryScope
from protocol.noun import JSONObject
from protocol.tool import Effect, ToolDefinition

_WHOSE: dict[MemoryScope, str] = {
    "user": "of the person for whom you work, in all their sessions",
    "project": "of the project, which everybody in it shares",
    "session": "of this session",
}
_KEY: JSONObject = {
    "type": "string",
    "description": "Names the record, as in `deploy/how`.",
    "pattern": "^[A-Za-z0-9][A-Za-z0-9_./-]{0,199}$",
}
_VERSION: JSONObject = {
    "type": "integer",
    "description": "Do it only where this is the record's version (0 for a write: only where there is none).",
    "minimum": 0,
}


def memory_tools(capability: MemoryCapability) -> tuple[ToolDefinition, ...]:
    """Reading searches and reads; writing comes on top of it."""
    scope = capability.scope
    reading = (_search(scope), _read(scope))
    return reading if capability.access == "read" else (*reading, _write(scope), _delete(scope))


def verb_of(tool: str) -> str:
    """`search`, `read`, `write` or `delete`."""
    return tool.split("_")[1]


def _search(scope: MemoryScope) -> ToolDefinition:
    words = (
        f"Search the memory {_WHOSE[scope]}: records with any of the words, best first, with their origin."
    )
    query: JSONObject = {"type": "string", "description": "Words; empty for the newest.", "maxLength": 400}
    limit: JSONObject = {
        "type": "integer",
        "description": "At most so many records. Default 10.",
        "minimum": 1,
        "maximum": 50,
    }
    return _tool("search", scope, words, {"query": query, "limit": limit}, ("query",), "read_only")


def _read(scope: MemoryScope) -> ToolDefinition:
    words = f"Read one record of the memory {_WHOSE[scope]}, with its origin and version."
    return _tool("read", scope, words, {"key": _KEY}, ("key",), "read_only")


def _write(scope: MemoryScope) -> ToolDefinition:
    words = (
        f"Write a record of the memory {_WHOSE[scope]}: a new one, or in the place of the one under its key. "
        "Write what will be useful later and holds true by itself. A person may have to approve the text."
    )
    properties: JSONObject = {
        "key": _KEY,
        "text": {
            "type": "string",
            "description": "The whole record.",
            "minLength": 1,
            "maxLength": LONGEST_TEXT,
        },
        "version": _VERSION,
        "expires_in_s": {
            "type": "integer",
            "description": "Forget it after so many seconds. Default: never.",
            "minimum": 1,
            "maximum": 316_224_000,
        },
    }
    return _tool("write", scope, words, properties, ("key", "text"), "idempotent_write")


def _delete(scope: MemoryScope) -> ToolDefinition:
    words = f"Forget one record of the memory {_WHOSE[scope]} for good."
    properties: JSONObject = {"key": _KEY, "version": {**_VERSION, "minimum": 1}}
    return _tool("delete", scope, words, properties, ("key",), "idempotent_write")


def _tool(
    verb: str,
    scope: MemoryScope,
    description: str,
    properties: JSONObject,
    required: tuple[str, ...],
    effect: Effect,
) -> ToolDefinition:
    return ToolDefinition(
        name=f"memory_{verb}_{scope}",
        description=description,
        input_schema={
            "type": "object",
            "properties": properties,
            "required": list(required),
            "additionalProperties": False,
        },
        source="memory",
        effect=effect,
    )
