"""A model request as the body of a generateContent call, the same bytes each time it is written."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import orjson

from protocol.block import Provenance, ToolCallBlock
from protocol.digest import canonical
from protocol.model import CallParams, ModelRequest, ToolChoice
from protocol.noun import JSONObject
from providers.gemini.contents import Contents
from providers.gemini.names import Names, wire_name
from providers.gemini.params import DefaultParams
from providers.gemini.parts import Wire
from providers.gemini.schema import Cleaner
from providers.gemini.thinking import Notices, thinking_of

SchemaForm = Literal["json-schema", "openapi"]

_SAMPLING = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
_TIERS = {"default": "standard", "standard": "standard", "flex": "flex", "priority": "priority"}
_MODES = {"auto": "VALIDATED", "required": "ANY", "none": "NONE"}
_PLACELESS = {
    "verbosity": "the wire has no verbosity",
    "end_user": "the wire has no end user",
}


@dataclass(frozen=True)
class Body:
    """The bytes to send, and what is needed to read the answer."""

    content: bytes
    names: Names
    used_ids: frozenset[str]
    notices: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Writing:
    """How one entry writes."""

    params: DefaultParams
    schema_form: SchemaForm = "json-schema"
    show_thoughts: bool = False


def body_of(request: ModelRequest, writing: Writing, provenance: Provenance) -> Body:
    """Everything that stays comes first, the contents last: two turns of a session share a long prefix."""
    history = Contents(provenance)
    history.add(request.blocks)
    notices = history.notices
    called = [block for block in request.blocks if isinstance(block, ToolCallBlock)]
    wire: Wire = {}
    if request.instructions:
        wire["systemInstruction"] = {"parts": [{"text": request.instructions}]}
    _add_tools(wire, request, called, writing.schema_form, notices)
    wire |= writing.params.outside()
    tier = request.params.service_tier
    if tier in _TIERS:
        wire["serviceTier"] = _TIERS[tier]
    elif tier not in (None, "auto"):
        notices.append(("param_dropped", f"the wire has no service tier {tier!r}"))
    generation = _generation(request, writing, notices)
    if generation:
        wire["generationConfig"] = generation
    wire["contents"] = history.wire
    if history.token is not None:
        wire["continuationToken"] = history.token
    names = {tool.name for tool in request.tools} | {block.name for block in called}
    return Body(
        content=orjson.dumps(wire),
        names=Names(names),
        used_ids=frozenset(block.tool_call_id for block in called),
        notices=tuple(notices),
    )


def _generation(request: ModelRequest, writing: Writing, notices: Notices) -> Wire:
    out: Wire = {**writing.params.generation(), **_asked(request.params, notices)}
    if request.max_output_tokens is not None:
        out["maxOutputTokens"] = request.max_output_tokens
    thinking = thinking_of(
        request.model,
        request.params,
        writing.params.thinking_config,
        show=writing.show_thoughts,
        notices=notices,
    )
    if thinking:
        out["thinkingConfig"] = thinking
    if request.json_schema is not None:
        out["responseMimeType"] = "application/json"
        if not writing.params.structured_outputs:
            notices.append(("param_dropped", "structuredOutputs is off: the schema was not sent"))
        else:
            field = "responseJsonSchema" if writing.schema_form == "json-schema" else "responseSchema"
            out[field] = _schema(request.json_schema, writing.schema_form, notices)
    return out


def _asked(params: CallParams, notices: Notices) -> JSONObject:
    """What a call sets by itself, in the wire's words."""
    given = params.model_dump(mode="json", exclude_defaults=True)
    out = {wire: given[name] for name, wire in _SAMPLING.items() if name in given}
    if params.stop:
        out["stopSequences"] = list(params.stop)
    notices += [("param_dropped", why) for name, why in _PLACELESS.items() if name in given]
    return out


def _add_tools(
    wire: Wire, request: ModelRequest, called: Iterable[ToolCallBlock], form: SchemaForm, notices: Notices
) -> None:
    """A history with calls but no tools brings the called ones along, not callable."""
    tools = [_tool(tool.name, tool.description, tool.input_schema, form, notices) for tool in request.tools]
    choice = request.tool_choice
    if tools and not request.parallel_tools:
        notices.append(("param_dropped", "the wire cannot keep a model from calling several tools at once"))
    if not tools:
        choice = ToolChoice(mode="none")
        names = sorted({block.name for block in called})
        tools = [_tool(name, "No longer offered.", {}, form, notices) for name in names]
    if not tools:
        return
    wire["tools"] = [{"functionDeclarations": tools}]
    if choice != ToolChoice():
        calling: Wire = {"mode": _MODES[choice.mode]}
        if choice.names and choice.mode != "none":
            calling["allowedFunctionNames"] = [wire_name(name) for name in choice.names]
        wire["toolConfig"] = {"functionCallingConfig": calling}


def _tool(name: str, description: str, schema: JSONObject, form: SchemaForm, notices: Notices) -> Wire:
    field = "parametersJsonSchema" if form == "json-schema" else "parameters"
    parameters = _schema(schema or {"type": "object", "properties": {}}, form, notices)
    return {"name": wire_name(name), "description": description, field: parameters}


def _schema(schema: JSONObject, form: SchemaForm, notices: Notices) -> orjson.Fragment:
    if form == "openapi":
        cleaner = Cleaner(schema)
        schema = cleaner.cleaned()
        if cleaner.dropped:
            notices.append(("schema_cleaned", f"left out of a schema: {', '.join(sorted(cleaner.dropped))}"))
    return orjson.Fragment(canonical(schema))
