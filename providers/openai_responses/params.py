"""The `defaultParams` of Responses: what they may hold, and what the wire calls them."""

from typing import Annotated, Literal

from pydantic import Field

from protocol.errors import InvalidRequest
from protocol.model import CallParams, ReasoningEffort
from protocol.noun import JSON, JSONObject
from providers import params
from providers.params import CommonParams

_CACHE = "the cache's identity is the session's"
_RESERVED = {
    "promptCacheKey": _CACHE,
    "promptCacheRetention": _CACHE,
    "promptCacheOptions": _CACHE,
    "instructions": "the system layer is assembled in one place",
    "contextManagement": "compaction is the session's",
    "background": "a call is followed while it runs",
}
_ELSEWHERE: dict[str, str] = {
    **dict.fromkeys(
        ("presencePenalty", "frequencyPenalty", "logitBias", "maxCompletionTokens", "prediction"),
        "only the chat-completions shape has this parameter",
    ),
    "forceReasoning": "the wire has no such field: set reasoningEffort",
}
_PLAIN = {
    "conversation",
    "max_tool_calls",
    "metadata",
    "parallel_tool_calls",
    "previous_response_id",
    "safety_identifier",
    "service_tier",
    "store",
    "temperature",
    "top_p",
    "truncation",
    "user",
}
REASONING = "reasoning.encrypted_content"
LOGPROBS = "message.output_text.logprobs"


class DefaultParams(CommonParams):
    """Nothing is stored by the vendor unless an entry says so: a session is kept here."""

    reasoning_effort: ReasoningEffort | None = None
    reasoning_summary: Literal["auto", "concise", "detailed"] | None = None
    text_verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"] | None = None
    safety_identifier: Annotated[str, Field(max_length=128)] | None = None
    system_message_mode: Literal["system", "developer", "remove"] = "system"
    parallel_tool_calls: bool | None = None
    store: bool = False
    max_tool_calls: Annotated[int, Field(ge=1)] | None = None
    metadata: dict[str, str] | None = None
    conversation: str | None = None
    previous_response_id: str | None = None
    user: str | None = None
    logprobs: bool | Annotated[int, Field(ge=0, le=20)] | None = None
    truncation: Literal["auto", "disabled"] | None = None
    strict_json_schema: bool = True
    include: list[str] | None = None

    def wire(self, asked: CallParams) -> JSONObject:
        """What goes into a body as it stands, in a fixed order; what a call sets goes before the defaults."""
        out: JSONObject = self.model_dump(mode="json", exclude_none=True, include=_PLAIN)
        own = {"temperature": asked.temperature, "top_p": asked.top_p, "service_tier": asked.service_tier}
        out |= {name: value for name, value in (own | {"user": asked.end_user}).items() if value is not None}
        reasoning: dict[str, JSON] = {
            "effort": asked.reasoning_effort or self.reasoning_effort,
            "summary": self.reasoning_summary,
        }
        if any(reasoning.values()):
            out["reasoning"] = {name: value for name, value in reasoning.items() if value is not None}
        verbosity = asked.verbosity or self.text_verbosity
        if verbosity is not None:
            out["text"] = {"verbosity": verbosity}
        told = [REASONING, *(self.include or ())]
        if self.logprobs is not None and self.logprobs is not False:
            told.append(LOGPROBS)
            if self.logprobs is not True:
                out["top_logprobs"] = self.logprobs
        out["include"] = list(dict.fromkeys(told))
        return out

    def dropped(self, asked: CallParams) -> list[str]:
        """What is set, here or by the call, and has no place in this wire."""
        set_here = {"topK": self.top_k, "seed": self.seed, "stopSequences": self.stop_sequences}
        set_there = {
            "topK": asked.top_k,
            "seed": asked.seed,
            "stopSequences": asked.stop or None,
            "presencePenalty": asked.presence_penalty,
            "frequencyPenalty": asked.frequency_penalty,
            "reasoningTokens": asked.reasoning_tokens,
        }
        values = [*set_here.items(), *set_there.items()]
        return list(dict.fromkeys(name for name, value in values if value is not None))


def read_params(given: JSONObject, *, place: str) -> DefaultParams:
    read = params.read_params(DefaultParams, given, place=place, reserved=_RESERVED, elsewhere=_ELSEWHERE)
    if read.conversation is not None and read.previous_response_id is not None:
        where = f"{place}.previousResponseId"
        raise InvalidRequest(
            "provider.param_invalid", f"{where}: not together with conversation", param=where
        )
    return read
