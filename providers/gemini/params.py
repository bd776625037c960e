"""The `defaultParams` of generateContent: what they may hold, and where the wire has them."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from protocol.errors import InvalidRequest
from protocol.noun import JSONObject, Noun
from providers import params
from providers.params import CommonParams

_RESERVED = {
    "cachedContent": "the cache is the session's",
    "threshold": "write safetySettings, one by one",
    "systemInstruction": "the system layer is assembled in one place",
    "candidateCount": "one answer is read",
}
_ELSEWHERE: dict[str, str] = dict.fromkeys(
    ("audioTimestamp", "routingConfig", "modelSelectionConfig", "modelArmorConfig"),
    "only Vertex has this parameter",
)
_OUTSIDE = {"safety_settings", "labels", "service_tier", "store"}
_OURS = {"structured_outputs", "thinking_config"}

Penalty = Annotated[float, Field(ge=-2, le=2)]
Level = Literal["minimal", "low", "medium", "high", "xhigh"]


class _Table(Noun):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)


class ThinkingConfig(_Table):
    """The vendor takes a budget or a level, never both; -1 leaves the budget to the model."""

    include_thoughts: bool | None = None
    thinking_budget: Annotated[int, Field(ge=-1)] | None = None
    thinking_level: Level | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> "ThinkingConfig":
        if self.thinking_budget is not None and self.thinking_level is not None:
            raise ValueError("thinkingBudget and thinkingLevel exclude each other")
        return self


class SafetySetting(_Table):
    category: Annotated[str, Field(pattern=r"^HARM_CATEGORY_[A-Z_]+$")]
    threshold: Literal[
        "BLOCK_LOW_AND_ABOVE", "BLOCK_MEDIUM_AND_ABOVE", "BLOCK_ONLY_HIGH", "BLOCK_NONE", "OFF"
    ]


class ImageConfig(_Table):
    aspect_ratio: str | None = None
    image_size: str | None = None


class DefaultParams(CommonParams):
    """A field's own name in camel case is the wire's; without `structuredOutputs` a schema is not sent."""

    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    response_logprobs: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    thinking_config: ThinkingConfig = ThinkingConfig()
    response_modalities: list[Literal["TEXT", "IMAGE", "AUDIO"]] | None = None
    image_config: ImageConfig | None = None
    speech_config: JSONObject | None = None
    media_resolution: Annotated[str, Field(pattern=r"^MEDIA_RESOLUTION_[A-Z_]+$")] | None = None
    safety_settings: list[SafetySetting] | None = None
    labels: dict[str, str] | None = None
    service_tier: Literal["standard", "flex", "priority"] | None = None
    store: bool | None = None
    structured_outputs: bool = True

    def generation(self) -> JSONObject:
        """What belongs into `generationConfig`, in a fixed order."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, exclude=_OUTSIDE | _OURS)

    def outside(self) -> JSONObject:
        """What stands beside it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True, include=_OUTSIDE)


def read_params(given: JSONObject, *, place: str) -> DefaultParams:
    known = params.read_params(DefaultParams, given, place=place, reserved=_RESERVED, elsewhere=_ELSEWHERE)
    budget, limit = known.thinking_config.thinking_budget, known.max_output_tokens
    if budget is not None and limit is not None and budget >= limit:
        where = f"{place}.thinkingConfig.thinkingBudget"
        message = f"{where}: the budget has to stay below maxOutputTokens"
        raise InvalidRequest("provider.param_invalid", message, param=where)
    return known
