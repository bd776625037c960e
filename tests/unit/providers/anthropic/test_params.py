"""Which default parameters an entry of the Messages API may set."""

from typing import Any

import pytest

from protocol.errors import InvalidRequest
from providers.anthropic.params import read_params


@pytest.mark.parametrize(
    ("params", "code", "param"),
    [
        ({"cacheControl": {}}, "provider.param_reserved", "p.cacheControl"),
        ({"mcpServers": []}, "provider.param_reserved", "p.mcpServers"),
        ({"anthropicBeta": []}, "provider.param_reserved", "p.anthropicBeta"),
        ({"container": "x"}, "provider.param_reserved", "p.container"),
        ({"contextManagement": {}}, "provider.param_reserved", "p.contextManagement"),
        ({"cache_control": {}}, "provider.param_wire_shape", "p.cache_control"),
        ({"service_tier": "auto"}, "provider.param_wire_shape", "p.service_tier"),
        ({"seed": 1}, "provider.param_unsupported", "p.seed"),
        ({"reasoningEffort": "low"}, "provider.param_unsupported", "p.reasoningEffort"),
        ({"warmth": 1}, "provider.param_unknown", "p.warmth"),
        ({"temperature": 1.5}, "provider.param_invalid", "p.temperature"),
        ({"effort": "minimal"}, "provider.param_invalid", "p.effort"),
        ({"metadata": {"userId": "u", "x-api-key": "k"}}, "provider.param_forbidden", "p.metadata.x-api-key"),
        ({"metadata": {"user_id": "u"}}, "provider.param_invalid", "p.metadata.userId"),
        ({"thinking": {"type": "enabled"}}, "provider.param_invalid", "p.thinking"),
        ({"thinking": {"type": "adaptive", "budgetTokens": 2000}}, "provider.param_invalid", "p.thinking"),
        (
            {"thinking": {"type": "enabled", "budgetTokens": 5}},
            "provider.param_invalid",
            "p.thinking.budgetTokens",
        ),
        (
            {"thinking": {"type": "enabled", "budgetTokens": 2000}, "maxOutputTokens": 2000},
            "provider.param_invalid",
            "p.",
        ),
        ({"anthropicVersion": "2020-01-01"}, "provider.param_invalid", "p.anthropicVersion"),
    ],
)
def test_a_parameter_that_is_not_ours_to_take_is_refused_with_its_place(
    params: dict[str, Any], code: str, param: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_params(params, place="p")
    assert (refused.value.code, refused.value.param) == (code, param)
