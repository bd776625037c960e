"""The openai-compatible provider keeps the provider's contract, against the scripted backend over HTTP."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import uvicorn

from protocol.config import ProviderEntry
from protocol.secret import SecretRef
from providers.openai_compatible.dialect import openai_compatible
from providers.prices import Prices
from providers.script import parse_script
from providers.scripted_server import app
from providers.upstream import Upstream
from tests.conformance.provider_suite import SCRIPT, ProviderSuite


class TestOpenAICompatibleProvider(ProviderSuite):
    @pytest.fixture
    async def provider(self) -> AsyncIterator[Upstream]:
        server = uvicorn.Server(
            uvicorn.Config(app(parse_script(SCRIPT)), port=0, log_level="critical", lifespan="off")
        )
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0)
        port = server.servers[0].sockets[0].getsockname()[1]
        entry = ProviderEntry(
            protocol="openai-compatible",
            baseURL=f"http://127.0.0.1:{port}/v1",
            api_key_ref=SecretRef(kind="env", name="KEY"),
            models=("m1",),
            pass_reasoning_to_loop=True,
        )
        provider = openai_compatible(
            entry, place="providers.local", key=lambda: "test-key", prices=Prices({})
        )
        yield provider
        await provider.close()
        server.should_exit = True
        server.force_exit = True
        await serving
