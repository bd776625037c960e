"""A model request as the body of a Chat Completions call, the same bytes each time it is written."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

import orjson

from protocol.block import Provenance, ToolCallBlock
from protocol.digest import canonical
from protocol.model import CallParams, ModelRequest
from protocol.noun import JSON, JSONObject
from providers.aliases import Aliases, alias_of
from providers.openai_compatible.messages import messages_of
from providers.openai_compatible.params import DefaultParams

TokenField = Literal["max_completion_tokens", "max_tokens"]


class SystemLayerRemoved(ValueError):
    """`systemMessageMode = "remove"` would drop instructions that carry weight."""


@dataclass(frozen=True)
class Body:
    """The bytes to send, and what is needed to read the answer."""

    content: bytes
    aliases: Aliases
    used_ids: frozenset[str]
    notices: tuple[tuple[str, str], ...]


def body_of(
    request: ModelRequest,
    params: DefaultParams,
    *,
    token_field: TokenField,
    provenance: Provenance,
    omit: Collection[str] = (),
) -> Body:
    """Everything that stays comes first, the messages last: two turns of a session share a long prefix."""
    if params.system_message_mode == "remove" and request.instructions:
        raise SystemLayerRemoved('systemMessageMode = "remove" would drop the instructions')
    role = "developer" if params.system_message_mode == "developer" else "system"
    history = messages_of(request.instructions, request.blocks, system_role=role, provenance=provenance)
    called = [block for block in request.blocks if isinstance(block, ToolCallBlock)]
    names = {tool.name for tool in request.tools} | {block.name for block in called}
    wire: dict[str, object] = {"model": request.model}
    wire |= params.wire() | _asked(request.params)
    limit = request.max_output_tokens or params.token_limit
    if limit is not None:
        wire[token_field] = limit
    wire["stream"] = True
    wire["stream_options"] = {"include_usage": True}
    if request.cache_key is not None:
        wire["prompt_cache_key"] = request.cache_key
    if request.json_schema is not None:
        wire["response_format"] = _response_format(request.json_schema, params)
    _add_tools(wire, request, called)
    wire["messages"] = history.wire
    for name in omit:
        wire.pop(name, None)
    return Body(
        content=orjson.dumps(wire),
        aliases=Aliases(names),
        used_ids=frozenset(block.tool_call_id for block in called),
        notices=(*history.notices, *_dropped(request.params)),
    )


def _asked(params: CallParams) -> JSONObject:
    """What a call sets by itself, in the wire's words."""
    out: JSONObject = params.model_dump(
        mode="json", exclude_defaults=True, exclude={"reasoning_tokens", "end_user"}
    )
    if params.end_user is not None:
        out["user"] = params.end_user
    return out


def _dropped(params: CallParams) -> Iterable[tuple[str, str]]:
    if params.reasoning_tokens is not None:
        yield "param_dropped", "Chat Completions has an effort, no number of tokens, for reasoning"


def _add_tools(wire: dict[str, object], request: ModelRequest, called: Iterable[ToolCallBlock]) -> None:
    """Some backends refuse a history with calls but no tools: then the called ones go along, not callable."""
    choice = request.tool_choice
    offered = [tool for tool in request.tools if not choice.names or tool.name in choice.names]
    tools = [_tool(tool.name, tool.description, tool.input_schema) for tool in offered]
    if tools:
        if not request.parallel_tools:
            wire["parallel_tool_calls"] = False
        if choice.mode != "auto":
            wire["tool_choice"] = choice.mode
    else:
        wire.pop("parallel_tool_calls", None)
        tools = [_tool(name, "No longer offered.", {}) for name in sorted({block.name for block in called})]
        if tools:
            wire["tool_choice"] = "none"
    if tools:
        wire["tools"] = tools


def _tool(name: str, description: str, schema: JSONObject) -> dict[str, object]:
    parameters = orjson.Fragment(canonical(schema or {"type": "object", "properties": {}}))
    return {
        "type": "function",
        "function": {"name": alias_of(name), "description": description, "parameters": parameters},
    }


def _response_format(schema: JSONObject, params: DefaultParams) -> dict[str, object]:
    return {
        "type": "json_schema",
        "json_schema": {
            "name": "output",
            "strict": params.strict_json_schema and is_strict(schema),
            "schema": orjson.Fragment(canonical(schema)),
        },
    }


def is_strict(schema: JSON) -> bool:
    """Whether every object in the schema is closed and requires all that it names, as strict mode asks."""
    if isinstance(schema, list):
        return all(is_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    properties = schema.get("properties")
    if schema.get("type") == "object" or isinstance(properties, dict):
        names = set(properties) if isinstance(properties, dict) else set[str]()
        required = schema.get("required")
        listed = {str(name) for name in required} if isinstance(required, list) else set[str]()
        if schema.get("additionalProperties") is not False or names != listed:
            return False
    return all(is_strict(item) for item in schema.values())
