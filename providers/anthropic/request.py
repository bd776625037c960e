"""A model request as the body of a Messages call, the same bytes each time it is written."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import cast

import orjson

from protocol.block import Provenance, ToolCallBlock
from protocol.digest import canonical
from protocol.model import ModelRequest, ToolChoice
from protocol.noun import JSON, JSONObject
from providers.aliases import Aliases, alias_of
from providers.anthropic.messages import Messages, messages_of
from providers.anthropic.models import Traits, traits_of
from providers.anthropic.params import DefaultParams
from providers.anthropic.parts import text_block
from providers.anthropic.thinking import Notices, Thinking, off, thinking_of

_MARK: JSONObject = {"type": "ephemeral"}
_TIERS = ("auto", "standard_only")
_ABSENT = ("seed", "presence_penalty", "frequency_penalty", "verbosity")


@dataclass(frozen=True)
class Body:
    """The bytes to send, and what is needed to read the answer."""

    content: bytes
    aliases: Aliases
    used_ids: frozenset[str]
    replays: bool
    notices: dict[str, str]


def body_of(
    request: ModelRequest,
    params: DefaultParams,
    *,
    provenance: Provenance,
    shown: bool,
    omit: Collection[str] = (),
) -> Body:
    """Everything that stays comes first, the messages last."""
    traits = traits_of(request.model)
    inner = params.system_message_mode == "system" or (
        params.system_message_mode is None and traits.inner_system
    )
    history = messages_of(
        request.blocks, provenance=provenance, replay=params.send_reasoning, inner_system=inner
    )
    called = [block for block in request.blocks if isinstance(block, ToolCallBlock)]
    names = {tool.name for tool in request.tools} | {block.name for block in called}
    limit = request.max_output_tokens or params.max_output_tokens or traits.max_tokens
    notices = history.notices
    thinking = _thinking(request, params, traits, history, limit=limit, shown=shown)
    wire: JSONObject = {"model": request.model, "max_tokens": limit, "stream": True}
    wire |= _sampling(request, params, traits, thinking, notices)
    wire |= _served(request, params, notices)
    if thinking.wire is not None:
        wire["thinking"] = thinking.wire
    output: JSONObject = {} if thinking.effort is None else {"effort": thinking.effort}
    if request.json_schema is not None:
        output["format"] = {"type": "json_schema", "schema": _fragment(_closed(request.json_schema))}
    if output:
        wire["output_config"] = output
    _add_tools(wire, request, params, called, forced=traits.forced and not thinking.on, notices=notices)
    system = [text_block(request.instructions)] if request.instructions.strip() else []
    if system or history.system:
        wire["system"] = [*system, *history.system]
    wire["messages"] = list[JSON](history.wire)
    if request.cache_key is not None:
        _mark(wire)
    for name in omit:
        wire.pop(name, None)
    return Body(
        content=orjson.dumps(wire),
        aliases=Aliases(names),
        used_ids=frozenset(block.tool_call_id for block in called),
        replays=history.replays,
        notices=_told(notices),
    )


def _told(notices: Notices) -> dict[str, str]:
    """Each code once, with all that it is about."""
    out: dict[str, dict[str, None]] = {}
    for code, detail in notices:
        out.setdefault(code, {})[detail] = None
    return {code: "; ".join(details) for code, details in out.items()}


def _thinking(
    request: ModelRequest,
    params: DefaultParams,
    traits: Traits,
    history: Messages,
    *,
    limit: int,
    shown: bool,
) -> Thinking:
    """A model that is told a number of tokens refuses to think on in a tool loop that began without."""
    thinking = thinking_of(request.params, params, traits, limit=limit, shown=shown, notices=history.notices)
    if history.unthought and thinking.wire is not None and thinking.wire["type"] == "enabled":
        told = "the tool loop that goes on has no reasoning of this model: it goes on without"
        history.notices.append(("thinking_disabled", told))
        return off(traits, history.notices)
    return thinking


def _sampling(
    request: ModelRequest, params: DefaultParams, traits: Traits, thinking: Thinking, notices: Notices
) -> JSONObject:
    """Newer models and versions refuse to be told how to sample, and so does every model that thinks."""
    asked = request.params
    notices += [
        ("param_dropped", f"Messages has no place for {name}")
        for name in _ABSENT
        if getattr(asked, name) is not None
    ]
    out: JSONObject = {}
    for name in ("temperature", "top_p", "top_k"):
        value = getattr(asked, name)
        value = getattr(params, name) if value is None else value
        if value is not None:
            out[name] = min(value, 1) if name == "temperature" else value
    if out and (not traits.sampling or thinking.on or params.anthropic_version > "2023-06-01"):
        notices.append(("param_dropped", f"this call takes no {', '.join(out)}"))
        out = {}
    elif "temperature" in out and out.pop("top_p", None) is not None:
        notices.append(("param_dropped", "top_p is not taken beside temperature"))
    stops = list(asked.stop) or params.stop_sequences or []
    kept: list[JSON] = [stop for stop in stops if stop.strip()]
    if len(kept) < len(stops):
        notices.append(("param_dropped", "a stop sequence of nothing but blanks is not taken"))
    if kept:
        out["stop_sequences"] = kept
    return out


def _served(request: ModelRequest, params: DefaultParams, notices: Notices) -> JSONObject:
    tier = request.params.service_tier
    if tier is not None and tier not in _TIERS:
        notices.append(("param_dropped", f"Messages has no service tier {tier!r}"))
        tier = None
    user = request.params.end_user or (params.metadata and params.metadata.user_id)
    fields: JSONObject = {
        "service_tier": tier or params.service_tier,
        "speed": params.speed,
        "inference_geo": params.inference_geo,
        "metadata": {"user_id": user} if user else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _add_tools(
    wire: JSONObject,
    request: ModelRequest,
    params: DefaultParams,
    called: Iterable[ToolCallBlock],
    *,
    forced: bool,
    notices: Notices,
) -> None:
    """A history with calls is refused without tools: then the called ones go along, not callable."""
    choice = request.tool_choice
    offered = [tool for tool in request.tools if not choice.names or tool.name in choice.names]
    if not offered:
        stubs: list[JSON] = [
            _tool(name, "No longer offered.", {}) for name in sorted({block.name for block in called})
        ]
        if stubs:
            wire["tool_choice"] = {"type": "none"}
            wire["tools"] = stubs
        return
    chosen = _chosen(choice, forced=forced, notices=notices)
    if chosen["type"] != "none" and (not request.parallel_tools or params.disable_parallel_tool_use):
        chosen["disable_parallel_tool_use"] = True
    if chosen != {"type": "auto"}:
        wire["tool_choice"] = chosen
    eager: JSONObject = (
        {} if params.tool_streaming is None else {"eager_input_streaming": params.tool_streaming}
    )
    wire["tools"] = [_tool(tool.name, tool.description, tool.input_schema) | eager for tool in offered]


def _chosen(choice: ToolChoice, *, forced: bool, notices: Notices) -> JSONObject:
    if choice.mode == "required" and not forced:
        notices.append(("tool_choice_relaxed", "a model that thinks cannot be made to call a tool"))
        return {"type": "auto"}
    if choice.mode == "required" and len(choice.names) == 1:
        return {"type": "tool", "name": alias_of(choice.names[0])}
    return {"type": {"required": "any"}.get(choice.mode, choice.mode)}


def _tool(name: str, description: str, schema: JSONObject) -> JSONObject:
    if "type" not in schema:
        schema = {"type": "object", "properties": {}, **schema}
    return {"name": alias_of(name), "description": description, "input_schema": _fragment(schema)}


def _closed(schema: JSON) -> JSON:
    """Objects that do not say whether they are open are closed: the API asks for it."""
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {name: _closed(item) for name, item in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        out.setdefault("additionalProperties", False)
    return out


def _mark(wire: JSONObject) -> None:
    """The four marks of the cache: after the tools, the system layer and the last two user messages."""
    for name in ("tools", "system"):
        blocks = wire.get(name)
        if isinstance(blocks, list):
            _mark_last(blocks)
    users = [message for message in cast(list[JSONObject], wire["messages"]) if message["role"] == "user"]
    for message in users[-2:]:
        _mark_last(cast(list[JSON], message["content"]))


def _mark_last(blocks: list[JSON]) -> None:
    last = blocks[-1]
    if isinstance(last, dict):
        blocks[-1] = {**last, "cache_control": _MARK}


def _fragment(value: JSON) -> JSON:
    return cast(JSON, orjson.Fragment(canonical(value)))
