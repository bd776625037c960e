"""Which default parameters an entry may set."""

from typing import Any

import pytest

from protocol.errors import InvalidRequest
from providers.openai_compatible.params import read_params

EVERY: dict[str, Any] = {
    "temperature": 1,
    "topP": 0.5,
    "topK": 3,
    "stopSequences": ["a"],
    "seed": 1,
    "reasoningEffort": "high",
    "textVerbosity": "low",
    "serviceTier": "flex",
    "safetyIdentifier": "u",
    "parallelToolCalls": True,
    "store": False,
    "metadata": {"a": "b"},
    "user": "u",
    "logprobs": 2,
    "presencePenalty": -1,
    "frequencyPenalty": 2.0,
    "logitBias": {"5": -100},
}


def test_every_parameter_has_its_wire_name() -> None:
    assert read_params(EVERY, place="p").wire() == {
        "temperature": 1,
        "top_p": 0.5,
        "top_k": 3,
        "stop": ["a"],
        "seed": 1,
        "reasoning_effort": "high",
        "verbosity": "low",
        "service_tier": "flex",
        "safety_identifier": "u",
        "parallel_tool_calls": True,
        "store": False,
        "metadata": {"a": "b"},
        "user": "u",
        "logprobs": True,
        "top_logprobs": 2,
        "presence_penalty": -1,
        "frequency_penalty": 2,
        "logit_bias": {"5": -100},
    }


def test_nothing_is_sent_that_nobody_set() -> None:
    params = read_params({}, place="p")
    assert (params.wire(), params.token_limit) == ({}, None)


def test_the_native_token_limit_wins_over_the_common_one() -> None:
    assert read_params({"maxCompletionTokens": 5, "maxOutputTokens": 9}, place="p").token_limit == 5


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"apiKey": "x"}, "provider.param_forbidden", "p.apiKey"),
        ({"metadata": {"x-team-token": "x"}}, "provider.param_forbidden", "p.metadata.x-team-token"),
        ({"user": "Bearer abc"}, "provider.param_secret", "p.user"),
        ({"stopSequences": ["sk-abc"]}, "provider.param_secret", "p.stopSequences[0]"),
        ({"reasoning_effort": "low"}, "provider.param_wire_shape", "p.reasoning_effort"),
        ({"prompt_cache_key": "x"}, "provider.param_wire_shape", "p.prompt_cache_key"),
        ({"promptCacheKey": "x"}, "provider.param_reserved", "p.promptCacheKey"),
        ({"promptCacheRetention": "24h"}, "provider.param_reserved", "p.promptCacheRetention"),
        ({"instructions": "x"}, "provider.param_reserved", "p.instructions"),
        ({"prediction": {}}, "provider.param_reserved", "p.prediction"),
        ({"previousResponseId": "x"}, "provider.param_unsupported", "p.previousResponseId"),
        ({"warmth": 1}, "provider.param_unknown", "p.warmth"),
        ({"temperature": 3}, "provider.param_invalid", "p.temperature"),
        ({"temperature": True}, "provider.param_invalid", "p.temperature"),
        ({"topP": "1"}, "provider.param_invalid", "p.topP"),
        ({"seed": 1.5}, "provider.param_invalid", "p.seed"),
        ({"stopSequences": ["a", "b", "c", "d", "e"]}, "provider.param_invalid", "p.stopSequences"),
        ({"reasoningEffort": "huge"}, "provider.param_invalid", "p.reasoningEffort"),
        ({"maxOutputTokens": 0}, "provider.param_invalid", "p.maxOutputTokens"),
    ],
)
def test_a_parameter_that_is_not_ours_to_take_is_refused_with_its_place(
    params: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_params(params, place="p")
    assert (refused.value.code, refused.value.param) == (code, param)


def test_the_wire_shape_is_refused_with_a_hint() -> None:
    with pytest.raises(InvalidRequest, match="write reasoningEffort"):
        read_params({"reasoning_effort": "low"}, place="p")
