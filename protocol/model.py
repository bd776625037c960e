"""The canonical model call: one request, and the block-scoped stream that answers it.

Exactly one of Finish and StreamError ends a stream, and nothing follows it. A tool call is complete only
when the wire closes its block. Usage is a cumulative snapshot: the last one wins.
"""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from protocol.block import ArgumentsState, Block, Opaque
from protocol.noun import JSON, JSONObject, Noun
from protocol.tool import ToolDefinition
from protocol.usage import Usage


class ToolChoice(Noun):
    """Whether the model may, must or may not call tools; with `names` only these."""

    mode: Literal["auto", "none", "required"] = "auto"
    names: tuple[str, ...] = ()


ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class CallParams(Noun):
    """How a call samples, thinks and is served. What it sets goes before the defaults of the provider's
    entry; what a dialect has no place for is left out with a notice."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    reasoning_effort: ReasoningEffort | None = None
    reasoning_tokens: int | None = None
    verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: str | None = None
    end_user: str | None = None


class ModelRequest(Noun):
    """What a model is asked. `instructions` is the whole system layer; `model` is the vendor's own name."""

    model: str
    instructions: str
    blocks: tuple[Block, ...]
    tools: tuple[ToolDefinition, ...] = ()
    max_output_tokens: int | None = None
    json_schema: JSONObject | None = None
    parallel_tools: bool = True
    tool_choice: ToolChoice = ToolChoice()
    params: CallParams = CallParams()
    cache_key: str | None = None


FinishReason = Literal[
    "stop",
    "tool_calls",
    "length",
    "context_overflow",
    "content_filter",
    "refusal",
    "pause",
    "compaction",
    "steered",
    "cancelled",
    "other",
]

ErrorClass = Literal["validation", "provider_terminal", "provider_transient", "capability", "cancellation"]


class MessageStart(Noun):
    type: Literal["message_start"] = "message_start"
    provider_message_id: str | None = None
    model_reported: str | None = None
    created_at: datetime | None = None


class TextStart(Noun):
    type: Literal["text_start"] = "text_start"
    block: int


class TextDelta(Noun):
    type: Literal["text_delta"] = "text_delta"
    block: int
    text: str


class TextEnd(Noun):
    type: Literal["text_end"] = "text_end"
    block: int
    text: str
    opaque: tuple[Opaque, ...] = ()
    truncated: bool = False


class ReasoningStart(Noun):
    type: Literal["reasoning_start"] = "reasoning_start"
    block: int


class ReasoningDelta(Noun):
    type: Literal["reasoning_delta"] = "reasoning_delta"
    block: int
    text: str


class ReasoningEnd(Noun):
    type: Literal["reasoning_end"] = "reasoning_end"
    block: int
    text: str
    visibility: Literal["full", "summary", "omitted"] = "full"
    opaque: tuple[Opaque, ...] = ()
    truncated: bool = False


ToolCallKind = Literal["function", "custom"]
"""A custom tool takes free text: its arguments are `{"input": text}`."""


class ToolCallStart(Noun):
    type: Literal["tool_call_start"] = "tool_call_start"
    block: int
    call_id: str
    name: str
    kind: ToolCallKind = "function"
    id_origin: Literal["wire", "synthetic"] = "wire"


class ToolCallDelta(Noun):
    type: Literal["tool_call_delta"] = "tool_call_delta"
    block: int
    arguments: str


class ToolCallEnd(Noun):
    type: Literal["tool_call_end"] = "tool_call_end"
    block: int
    call_id: str
    name: str
    kind: ToolCallKind = "function"
    arguments: JSONObject
    arguments_raw: str
    arguments_state: ArgumentsState
    opaque: tuple[Opaque, ...] = ()


class RefusalDelta(Noun):
    type: Literal["refusal_delta"] = "refusal_delta"
    block: int
    text: str


class ServerToolStart(Noun):
    """The vendor runs a tool of its own, such as a search: nobody here can stop it any more."""

    type: Literal["server_tool_start"] = "server_tool_start"
    block: int
    call_id: str
    name: str


class ServerToolEnd(Noun):
    """`opaque` holds the vendor's own items, the call and what came of it, for replay to their maker."""

    type: Literal["server_tool_end"] = "server_tool_end"
    block: int
    call_id: str
    name: str
    status: Literal["completed", "failed", "truncated"]
    opaque: tuple[Opaque, ...] = ()


class Citation(Noun):
    """A source of the text block that is open; `raw` is the vendor's own form."""

    type: Literal["citation"] = "citation"
    block: int
    kind: str
    uri: str | None = None
    title: str | None = None
    raw: JSON = None


class Media(Noun):
    """A generated image or sound, whole: its bytes in Base64."""

    type: Literal["media"] = "media"
    block: int
    media_type: str
    data: str


class UsageSnapshot(Noun):
    type: Literal["usage"] = "usage"
    usage: Usage
    final: bool = False


class Notice(Noun):
    type: Literal["notice"] = "notice"
    code: str
    detail: str


class ProviderRaw(Noun):
    type: Literal["provider_raw"] = "provider_raw"
    payload: JSON


class Heartbeat(Noun):
    type: Literal["heartbeat"] = "heartbeat"


class Finish(Noun):
    type: Literal["finish"] = "finish"
    reason: FinishReason
    native_reason: str | None = None
    native_detail: str | None = None
    usage: Usage
    cost_usd: float | None = None


class StreamError(Noun):
    """The terminal event of a stream that failed; `message` is safe to show, secrets are scrubbed."""

    type: Literal["error"] = "error"
    error_class: ErrorClass
    code: str
    message: str
    http_status: int | None = None
    provider_type: str | None = None
    provider_code: str | None = None
    provider_request_id: str | None = None
    retryable: bool
    retry_after_ms: int | None = None
    partial: bool = False


ModelEvent = Annotated[
    MessageStart
    | TextStart
    | TextDelta
    | TextEnd
    | ReasoningStart
    | ReasoningDelta
    | ReasoningEnd
    | ToolCallStart
    | ToolCallDelta
    | ToolCallEnd
    | RefusalDelta
    | ServerToolStart
    | ServerToolEnd
    | Citation
    | Media
    | UsageSnapshot
    | Notice
    | ProviderRaw
    | Heartbeat
    | Finish
    | StreamError,
    Field(discriminator="type"),
]
