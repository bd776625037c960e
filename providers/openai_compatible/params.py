"""`defaultParams`: which keys an entry may set, what they may hold, and what the wire calls them."""

import re
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from protocol.errors import InvalidRequest
from protocol.noun import JSON, JSONObject, Noun
from protocol.strict import path_of

_SECRET_KEY = re.compile(
    r"(api[-_]?key|authorization|bearer|authorizationtoken|x-.*-?(key|token|auth|secret))", re.IGNORECASE
)
_SECRET_VALUE = re.compile(r"(bearer\s+\S|eyJ[\w-]+\.[\w-]+\.|sk-|pk-|xoxb-)", re.IGNORECASE)
_RESERVED = {
    "promptCacheKey": "the cache's identity is the session's",
    "promptCacheRetention": "the cache's identity is the session's",
    "instructions": "the system layer is assembled in one place",
    "prediction": "speculative decoding has no contract yet",
}
_RESPONSES_ONLY = {
    *("reasoningSummary", "forceReasoning", "maxToolCalls", "conversation", "previousResponseId"),
    *("truncation", "include"),
}
_OURS = {"system_message_mode", "strict_json_schema", "logprobs", "stop_sequences", "text_verbosity"}
_LIMITS = {"max_output_tokens", "max_completion_tokens"}

Penalty = Annotated[float, Field(ge=-2, le=2)]
Tokens = Annotated[int, Field(ge=1)]


class DefaultParams(Noun):
    """The keys in camel case; where nothing else is said, a field's own name is the wire's."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, alias_generator=to_camel)

    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0)] | None = None
    max_output_tokens: Tokens | None = None
    stop_sequences: Annotated[list[str], Field(min_length=1, max_length=4)] | None = None
    seed: int | None = None
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


def read_params(params: JSONObject, *, place: str) -> DefaultParams:
    """The parameters of an entry, or the first refusal with its place in the file."""
    _refuse_secrets(params, place)
    for key in params:
        _refuse_key(key, f"{place}.{key}")
    try:
        return DefaultParams.model_validate(params)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = f"{place}.{path_of(first['loc'])}"
        raise _refused("provider.param_invalid", where, first["msg"]) from error


def _refuse_key(key: str, where: str) -> None:
    known = {to_camel(name) for name in DefaultParams.model_fields}
    if "_" in key and to_camel(key) in known | _RESERVED.keys() | _RESPONSES_ONLY:
        raise _refused("provider.param_wire_shape", where, f"write {to_camel(key)}")
    if key in _RESPONSES_ONLY:
        raise _refused("provider.param_unsupported", where, "only the responses shape has this parameter")
    if key in _RESERVED:
        raise _refused("provider.param_reserved", where, _RESERVED[key])
    if key not in known:
        raise _refused("provider.param_unknown", where, "this parameter is not known")


def _refuse_secrets(value: JSON, where: str) -> None:
    if isinstance(value, dict):
        for key, item in value.items():
            if _SECRET_KEY.fullmatch(key):
                raise _refused("provider.param_forbidden", f"{where}.{key}", "credentials are references")
            _refuse_secrets(item, f"{where}.{key}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_secrets(item, f"{where}[{index}]")
    elif isinstance(value, str) and _SECRET_VALUE.match(value):
        raise _refused("provider.param_secret", where, "the value looks like a credential")


def _refused(code: str, where: str, why: str) -> InvalidRequest:
    return InvalidRequest(code, f"{where}: {why}", param=where)
