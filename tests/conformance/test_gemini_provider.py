"""The gemini provider keeps the provider's contract, against a stand-in over HTTP."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn

from protocol.config import ProviderEntry
from protocol.model import Finish
from protocol.secret import SecretRef
from providers.gemini.dialect import Gemini
from providers.prices import Prices
from providers.provider import Provider
from providers.script import parse_script
from providers.upstream import Upstream
from tests.conformance.gemini_server import app
from tests.conformance.provider_suite import SCRIPT, ProviderSuite, request, said

pytestmark = pytest.mark.slow


class TestGeminiProvider(ProviderSuite):
    native_stop = "STOP"

    @pytest.fixture
    async def provider(self) -> AsyncIterator[Upstream]:
        config = uvicorn.Config(app(parse_script(SCRIPT)), port=0, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        entry = ProviderEntry(
            protocol="gemini",
            baseURL=f"http://127.0.0.1:{port}",
            api_key_ref=SecretRef(kind="env", name="KEY"),
            models=("m1",),
            pass_reasoning_to_loop=True,
        )
        dialect = Gemini(entry, place="providers.local", prices=Prices({}))
        provider = Upstream(dialect, entry, lambda: "test-key")
        yield provider
        await provider.close()
        server.should_exit = True
        server.force_exit = True
        await serving

    async def test_a_refusal_is_told_apart_from_text(self, provider: Provider) -> None:
        """This wire knows no refusal: its filter stops the answer."""
        stream = await self.checked(provider, request(said("refuse")))
        assert (stream.refusal, stream.text) == ("", "No.")
        assert isinstance(stream.terminal, Finish)
        assert stream.terminal.reason == "content_filter"
