"""Which default parameters an entry of the responses shape may set."""

from typing import Any

import pytest

from protocol.errors import InvalidRequest
from protocol.model import CallParams
from providers.openai_responses.params import read_params

EVERY: dict[str, Any] = {
    "temperature": 1, "topP": 0.5, "topK": 3, "seed": 1, "stopSequences": ["a"], "maxOutputTokens": 5,
    "reasoningEffort": "max", "reasoningSummary": "concise", "textVerbosity": "low",
    "serviceTier": "ultrafast", "safetyIdentifier": "u", "systemMessageMode": "developer",
    "parallelToolCalls": True, "store": True,
    "maxToolCalls": 3, "metadata": {"a": "b"}, "previousResponseId": "resp_0", "user": "u", "logprobs": True,
    "truncation": "auto", "strictJsonSchema": False, "include": ["web_search_call.results"],
}  # fmt: skip


def test_every_parameter_has_its_wire_name() -> None:
    assert read_params(EVERY, place="p").wire(CallParams()) == {
        "temperature": 1,
        "top_p": 0.5,
        "service_tier": "ultrafast",
        "safety_identifier": "u",
        "parallel_tool_calls": True,
        "store": True,
        "max_tool_calls": 3,
        "metadata": {"a": "b"},
        "previous_response_id": "resp_0",
        "user": "u",
        "truncation": "auto",
        "reasoning": {"effort": "max", "summary": "concise"},
        "text": {"verbosity": "low"},
        "include": [
            *("reasoning.encrypted_content", "web_search_call.results", "message.output_text.logprobs")
        ],
    }
    assert read_params({"conversation": "c"}, place="p").wire(CallParams())["conversation"] == "c"


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"conversation": "a", "previousResponseId": "b"}, "provider.param_invalid", "p.previousResponseId"),
        ({"promptCacheKey": "x"}, "provider.param_reserved", "p.promptCacheKey"),
        ({"instructions": "x"}, "provider.param_reserved", "p.instructions"),
        ({"contextManagement": []}, "provider.param_reserved", "p.contextManagement"),
        ({"previous_response_id": "x"}, "provider.param_wire_shape", "p.previous_response_id"),
        ({"logitBias": {}}, "provider.param_unsupported", "p.logitBias"),
        ({"forceReasoning": True}, "provider.param_unsupported", "p.forceReasoning"),
        ({"warmth": 1}, "provider.param_unknown", "p.warmth"),
        ({"reasoningSummary": "long"}, "provider.param_invalid", "p.reasoningSummary"),
        ({"maxToolCalls": 0}, "provider.param_invalid", "p.maxToolCalls"),
        ({"apiKey": "x"}, "provider.param_forbidden", "p.apiKey"),
    ],
)
def test_a_parameter_that_is_not_to_be_taken_is_refused(
    params: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_params(params, place="p")
    assert (refused.value.code, refused.value.param) == (code, param)
