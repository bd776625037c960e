"""The `defaultParams` of Chat Completions: what they may hold, and what the wire calls them."""

from typing import Annotated, Literal

from pydantic import Field

from protocol.noun import JSONObject
from providers import params
from providers.params import CommonParams, Tokens

_CACHE = "the cache's identity is the session's"
_RESERVED = {
    "promptCacheKey": _CACHE,
    "promptCacheRetention": _CACHE,
    "instructions": "the system layer is assembled in one place",
    "prediction": "speculative decoding has no contract yet",
}
_RESPONSES: tuple[str, ...] = (
    "reasoningSummary",
    "forceReasoning",
    "maxToolCalls",
    "conversation",
    "previousResponseId",
)
_ELSEWHERE: dict[str, str] = dict.fromkeys(
    (*_RESPONSES, "truncation", "include"), "only the responses shape has this parameter"
)
_OURS = {"system_message_mode", "strict_json_schema", "logprobs", "stop_sequences", "text_verbosity"}
_LIMITS = {"max_output_tokens", "max_completion_tokens"}

Penalty = Annotated[float, Field(ge=-2, le=2)]


class DefaultParams(CommonParams):
    """Where nothing else is said, a field's own name is the wire's."""

    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = None
    text_verbosity: Literal["low", "medium", "high"] | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    safety_identifier: Annotated[str, Field(max_length=128)] | None = None
    system_message_mode: Literal["system", "developer", "remove"] = "system"
    parallel_tool_calls: bool | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    logprobs: bool | Annotated[int, Field(ge=0, le=20)] | None = None
    strict_json_schema: bool = True
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    max_completion_tokens: Tokens | None = None

    def wire(self) -> JSONObject:
        """What goes into a body as it stands, in a fixed order."""
        out: JSONObject = self.model_dump(mode="json", exclude_none=True, exclude=_OURS | _LIMITS)
        if self.stop_sequences is not None:
            out["stop"] = list(self.stop_sequences)
        if self.text_verbosity is not None:
            out["verbosity"] = self.text_verbosity
        if self.logprobs is not None:
            out["logprobs"] = self.logprobs is not False
            if not isinstance(self.logprobs, bool):
                out["top_logprobs"] = self.logprobs
        return out

    @property
    def token_limit(self) -> int | None:
        return self.max_completion_tokens or self.max_output_tokens


def read_params(given: JSONObject, *, place: str) -> DefaultParams:
    return params.read_params(DefaultParams, given, place=place, reserved=_RESERVED, elsewhere=_ELSEWHERE)
