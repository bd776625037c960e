"""One gateway per test, over the records of a folder of its own; or one per file, where nothing is made."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.flow.gateway.house import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path / "data") as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[House]:
    async with house(tmp_path_factory.mktemp("gateway") / "data") as made:
        yield made
