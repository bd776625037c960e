"""The responses shape keeps the provider's contract, against a stand-in over HTTP."""

from collections.abc import AsyncIterator

import pytest

from providers.openai_responses.dialect import Responses
from providers.upstream import Upstream
from tests.conformance.backend import provider_of
from tests.conformance.provider_suite import ProviderSuite
from tests.conformance.responses_server import app


class TestOpenAIResponsesProvider(ProviderSuite):
    native_stop = "completed"

    @pytest.fixture
    async def provider(self) -> AsyncIterator[Upstream]:
        async with provider_of(
            Responses, app, root="/v1", protocol="openai-compatible", api_shape="responses"
        ) as provider:
            yield provider
