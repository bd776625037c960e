"""A model request as the body of a Responses call, the same bytes each time it is written."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import orjson

from protocol.block import Provenance, ToolCallBlock
from protocol.digest import canonical
from protocol.model import ModelRequest, ToolChoice
from protocol.noun import JSON, JSONObject
from providers.aliases import Aliases, alias_of
from providers.openai_compatible.request import SystemLayerRemoved
from providers.openai_responses.input import input_of
from providers.openai_responses.params import DefaultParams
from providers.openai_responses.strict import is_strict


@dataclass(frozen=True)
class Body:
    """The bytes to send, and what is needed to read the answer; `replays` where opaque state goes along."""

    content: bytes
    aliases: Aliases
    used_ids: frozenset[str]
    notices: tuple[tuple[str, str], ...]
    replays: bool


def body_of(
    request: ModelRequest,
    params: DefaultParams,
    *,
    provenance: Provenance | None,
    omit: Collection[str] = (),
) -> Body:
    """Everything that stays comes first, the items last: two turns of a session share a long prefix."""
    if params.system_message_mode == "remove" and request.instructions:
        raise SystemLayerRemoved('systemMessageMode = "remove" would drop the instructions')
    role = "developer" if params.system_message_mode == "developer" else "system"
    history = input_of(request.blocks, system_role=role, provenance=provenance)
    called = [block for block in request.blocks if isinstance(block, ToolCallBlock)]
    names = {tool.name for tool in request.tools} | {block.name for block in called}
    wire: dict[str, object] = {"model": request.model, **params.wire(request.params)}
    limit = request.max_output_tokens or params.max_output_tokens
    if limit is not None:
        wire["max_output_tokens"] = limit
    wire["stream"] = True
    if request.cache_key is not None:
        wire["prompt_cache_key"] = request.cache_key
    if request.json_schema is not None:
        text = wire.get("text")
        wire["text"] = (text if isinstance(text, dict) else {}) | {
            "format": _format(request.json_schema, params)
        }
    _add_tools(wire, request, called)
    if request.instructions:
        wire["instructions"] = request.instructions
    wire["input"] = history.wire
    for name in omit:
        wire.pop(name, None)
    dropped = ", ".join(params.dropped(request.params))
    lost = (("param_dropped", f"Responses has no place for {dropped}"),) if dropped else ()
    return Body(
        content=orjson.dumps(wire),
        aliases=Aliases(names),
        used_ids=frozenset(block.tool_call_id for block in called),
        notices=(*history.notices, *lost),
        replays=history.replayed > 0,
    )


def _add_tools(wire: dict[str, object], request: ModelRequest, called: Iterable[ToolCallBlock]) -> None:
    """Some backends refuse a history with calls but no tools: then the called ones go along, not callable."""
    tools = [_tool(tool.name, tool.description, tool.input_schema) for tool in request.tools]
    if tools:
        if not request.parallel_tools:
            wire["parallel_tool_calls"] = False
        choice = _choice(request.tool_choice)
        if choice is not None:
            wire["tool_choice"] = choice
    else:
        wire.pop("parallel_tool_calls", None)
        tools = [_tool(name, "No longer offered.", {}) for name in sorted({block.name for block in called})]
        if tools:
            wire["tool_choice"] = "none"
    if tools:
        wire["tools"] = tools


def _choice(choice: ToolChoice) -> JSON:
    """All tools stay in the list, whichever may be called: the list is part of the cached prefix."""
    if choice.mode == "none" or not choice.names:
        return None if choice.mode == "auto" else choice.mode
    tools: list[JSONObject] = [{"type": "function", "name": alias_of(name)} for name in choice.names]
    if choice.mode == "required" and len(tools) == 1:
        return tools[0]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": [*tools]}


def _tool(name: str, description: str, schema: JSONObject) -> dict[str, object]:
    schema = schema or {"type": "object", "properties": {}}
    return {
        "type": "function",
        "name": alias_of(name),
        "description": description,
        "parameters": orjson.Fragment(canonical(schema)),
        "strict": is_strict(schema),
    }


def _format(schema: JSONObject, params: DefaultParams) -> dict[str, object]:
    return {
        "type": "json_schema",
        "name": "output",
        "strict": params.strict_json_schema and is_strict(schema),
        "schema": orjson.Fragment(canonical(schema)),
    }
