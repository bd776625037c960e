"""One installation with one worker for each file: the file's SCRIPT is what its model says."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.invariants import assert_standing_invariants
from tests.stack import Stack
from tests.temporal_server import TemporalServer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    request: pytest.FixtureRequest,
    temporal_server: TemporalServer,
    cache: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncGenerator[Stack]:
    folder = tmp_path_factory.mktemp("stack") / "data"
    tables: dict[str, str] = getattr(request.module, "TABLES", {})
    async with Stack(folder, temporal_server, cache, request.module.SCRIPT, **tables) as made:
        await made.start_worker()
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def stack(installation: Stack) -> AsyncGenerator[Stack]:
    """What must hold of every run is asked of each run that a test made."""
    before = len(installation.runs)
    yield installation
    await assert_standing_invariants(installation, installation.runs[before:])
