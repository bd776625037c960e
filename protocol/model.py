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


class ModelRequest(Noun):
    """What a model is asked. `instructions` is the whole system layer; `model` is the vendor's own name."""

    model: str
    instructions: str
    blocks: tuple[Block, ...]
    tools: tuple[ToolDefinition, ...] = ()
    max_output_tokens: int | None = None
    json_schema: JSONObject | None = None
    parallel_tools: bool = True
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


class ToolCallStart(Noun):
    type: Literal["tool_call_start"] = "tool_call_start"
    block: int
    call_id: str
    name: str
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
    arguments: JSONObject
    arguments_raw: str
    arguments_state: ArgumentsState
    opaque: tuple[Opaque, ...] = ()


class RefusalDelta(Noun):
    type: Literal["refusal_delta"] = "refusal_delta"
    block: int
    text: str


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
    | UsageSnapshot
    | Notice
    | ProviderRaw
    | Heartbeat
    | Finish
    | StreamError,
    Field(discriminator="type"),
]
