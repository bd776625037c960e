"""A provider of one dialect, and the stand-in that it asks."""

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette

from protocol.config import ProviderEntry
from protocol.secret import SecretRef
from providers.prices import Prices
from providers.script import Script, parse_script
from providers.upstream import Dialect, Upstream
from tests.conformance.provider_suite import SCRIPT
from tests.served import listening


@asynccontextmanager
async def provider_of(
    dialect: Callable[..., Dialect], app: Callable[[Script], Starlette], *, root: str = "", **fields: Any
) -> AsyncGenerator[Upstream]:
    """`fields` are the entry's own."""
    async with listening(app(parse_script(SCRIPT))) as port:
        entry = ProviderEntry(
            baseURL=f"http://127.0.0.1:{port}{root}",
            api_key_ref=SecretRef(kind="env", name="KEY"),
            models=("m1",),
            pass_reasoning_to_loop=True,
            **fields,
        )
        spoken = dialect(entry, place="providers.local", prices=Prices({}))
        provider = Upstream(spoken, entry, lambda: "test-key")
        yield provider
        await provider.close()
