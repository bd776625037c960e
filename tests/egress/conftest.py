"""One proxy, with its records and a server outside, for each file."""

from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from tests.egress.world import Outside, entry, outside

NAMES = ("api.test", "other.test", "closed.test", "bare.test")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Outside]:
    async with outside(tmp_path_factory.mktemp("egress")) as made:
        made.names = {name: ["127.0.0.1"] for name in NAMES}
        await made.open(entry(made.upstream, NAMES))
        yield made
