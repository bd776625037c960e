"""One gateway per test, over the records of a folder of its own."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from tests.flow.gateway.house import House, house


@pytest.fixture
async def home(tmp_path: Path) -> AsyncGenerator[House]:
    async with house(tmp_path / "data") as made:
        yield made
