"""The loopback backend as a fixture."""

from collections.abc import AsyncIterator

import pytest

from tests.unit.providers.loopback import Backend


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    backend = await Backend().start()
    yield backend
    await backend.stop()
