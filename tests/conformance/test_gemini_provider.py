"""The gemini provider keeps the provider's contract, against a stand-in over HTTP."""

from collections.abc import AsyncIterator

import pytest

from protocol.model import Finish
from providers.gemini.dialect import Gemini
from providers.provider import Provider
from providers.upstream import Upstream
from tests.conformance.backend import provider_of
from tests.conformance.gemini_server import app
from tests.conformance.provider_suite import ProviderSuite, request, said

pytestmark = pytest.mark.slow


class TestGeminiProvider(ProviderSuite):
    native_stop = "STOP"

    @pytest.fixture
    async def provider(self) -> AsyncIterator[Upstream]:
        async with provider_of(Gemini, app, protocol="gemini") as provider:
            yield provider

    async def test_a_refusal_is_told_apart_from_text(self, provider: Provider) -> None:
        """This wire knows no refusal: its filter stops the answer."""
        stream = await self.checked(provider, request(said("refuse")))
        assert (stream.refusal, stream.text) == ("", "No.")
        assert isinstance(stream.terminal, Finish)
        assert stream.terminal.reason == "content_filter"
