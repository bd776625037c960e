"""The responses shape keeps the provider's contract, against a stand-in over HTTP."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn

from protocol.config import ProviderEntry
from protocol.secret import SecretRef
from providers.openai_responses.dialect import Responses
from providers.prices import Prices
from providers.script import parse_script
from providers.upstream import Upstream
from tests.conformance.provider_suite import SCRIPT, ProviderSuite
from tests.conformance.responses_server import app


class TestOpenAIResponsesProvider(ProviderSuite):
    native_stop = "completed"

    @pytest.fixture
    async def provider(self) -> AsyncIterator[Upstream]:
        config = uvicorn.Config(app(parse_script(SCRIPT)), port=0, log_level="critical", lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        entry = ProviderEntry(
            protocol="openai-compatible",
            api_shape="responses",
            baseURL=f"http://127.0.0.1:{port}/v1",
            api_key_ref=SecretRef(kind="env", name="KEY"),
            models=("m1",),
            pass_reasoning_to_loop=True,
        )
        dialect = Responses(entry, place="providers.local", prices=Prices({}))
        provider = Upstream(dialect, entry, lambda: "test-key")
        yield provider
        await provider.close()
        server.should_exit = True
        server.force_exit = True
        await serving
