"""The `defaultParams` of the Messages API: what they may hold, and what the wire calls them."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from protocol.noun import JSONObject, Noun
from providers import params
from providers.params import CommonParams

_COMPACTS = "the session is compacted by Rhone"
_RESERVED = {
    "cacheControl": "the cache's marks are set by Rhone",
    "mcpServers": "servers of tools are declared under [mcp]: their tokens are no parameters",
    "anthropicBeta": "the adapter names the betas that it speaks",
    "container": "a container's identity has no contract yet",
    "contextManagement": _COMPACTS,
    "compaction": _COMPACTS,
    "system": "the system layer is assembled in one place",
}
_CHAT = "Messages has no such parameter"
_ELSEWHERE = {
    **dict.fromkeys(("seed", "presencePenalty", "frequencyPenalty", "logitBias", "logprobs"), _CHAT),
    **dict.fromkeys(("textVerbosity", "parallelToolCalls", "store", "user", "maxCompletionTokens"), _CHAT),
    "reasoningEffort": "Messages calls it effort",
    "taskBudget": "it is a beta that is not spoken",
}

Effort = Literal["low", "medium", "high", "xhigh", "max"]


class _Inner(Noun):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class ThinkingParam(_Inner):
    """How the model thinks where the call does not say."""

    type: Literal["adaptive", "enabled", "disabled", "between_tools"]
    budget_tokens: Annotated[int, Field(ge=1024)] | None = None
    display: Literal["summarized", "omitted"] | None = None

    @model_validator(mode="after")
    def _budget_fits(self) -> "ThinkingParam":
        if (self.type == "enabled") != (self.budget_tokens is not None):
            raise ValueError("`budgetTokens` belongs to the type enabled, and only to it")
        return self


class MetadataParam(_Inner):
    user_id: str


class DefaultParams(CommonParams):
    """What an entry sets for its calls."""

    temperature: Annotated[float, Field(ge=0, le=1)] | None = None
    effort: Effort | None = None
    thinking: ThinkingParam | None = None
    send_reasoning: bool = True
    service_tier: Literal["auto", "standard_only"] | None = None
    speed: Literal["standard", "fast"] | None = None
    inference_geo: str | None = None
    metadata: MetadataParam | None = None
    disable_parallel_tool_use: bool = False
    tool_streaming: bool | None = None
    system_message_mode: Literal["system", "fold"] | None = None
    anthropic_version: Literal["2023-06-01", "2026-10-21"] = "2023-06-01"

    @model_validator(mode="after")
    def _answer_has_room(self) -> "DefaultParams":
        budget = self.thinking and self.thinking.budget_tokens
        if budget and self.max_output_tokens and budget >= self.max_output_tokens:
            raise ValueError("`thinking.budgetTokens` leaves nothing of `maxOutputTokens`")
        return self


def read_params(given: JSONObject, *, place: str) -> DefaultParams:
    return params.read_params(DefaultParams, given, place=place, reserved=_RESERVED, elsewhere=_ELSEWHERE)
