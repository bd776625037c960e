"""The openai-compatible provider keeps the provider's contract, against the scripted backend over HTTP."""

from collections.abc import AsyncIterator

import pytest

from providers.openai_compatible.dialect import ChatCompletions
from providers.scripted_server import app
from providers.upstream import Upstream
from tests.conformance.backend import provider_of
from tests.conformance.provider_suite import ProviderSuite


class TestOpenAICompatibleProvider(ProviderSuite):
    @pytest.fixture
    async def provider(self) -> AsyncIterator[Upstream]:
        async with provider_of(ChatCompletions, app, root="/v1", protocol="openai-compatible") as provider:
            yield provider
