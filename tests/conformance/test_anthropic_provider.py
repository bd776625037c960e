"""The anthropic provider keeps the provider's contract, against a stand-in over HTTP."""

from collections.abc import AsyncIterator

import pytest

from protocol.model import Finish
from providers.anthropic.dialect import Messages
from providers.provider import Provider
from providers.upstream import Upstream
from tests.conformance.backend import provider_of
from tests.conformance.messages_server import app
from tests.conformance.provider_suite import ProviderSuite, request, said

pytestmark = pytest.mark.slow


class TestAnthropicProvider(ProviderSuite):
    native_stop = "end_turn"

    @pytest.fixture
    async def provider(self) -> AsyncIterator[Upstream]:
        async with provider_of(Messages, app, protocol="anthropic") as provider:
            yield provider

    async def test_a_refusal_is_told_apart_from_text(self, provider: Provider) -> None:
        """This wire tells it by the stop reason alone."""
        stream = await self.checked(provider, request(said("refuse")))
        assert (stream.refusal, stream.text) == ("", "No.")
        assert isinstance(stream.terminal, Finish)
        assert stream.terminal.reason == "refusal"
