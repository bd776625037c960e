"""The HTTP keeper passes the suite of ours."""

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest
import uvicorn

from protocol.errors import Refused, Unavailable
from protocol.memory import MemoryStore
from providers.memory_http import HttpMemory
from records.database import Database
from records.hints import LocalHints
from records.memory import Memories
from records.writer import Writer
from tests.conformance.memory_server import KEY, memory_server
from tests.conformance.memory_suite import MemorySuite, place

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("memory")
    database = Database.open(f"sqlite:///{folder / 'm.db'}", folder / "blobs")
    database.migrate()
    database.close()
    return (folder / "m.db").read_bytes()


@pytest.fixture
async def address(migrated: bytes, tmp_path: Path) -> AsyncIterator[str]:
    (tmp_path / "m.db").write_bytes(migrated)
    database = Database.open(f"sqlite:///{tmp_path / 'm.db'}", tmp_path / "blobs")
    writer = Writer(database, LocalHints())
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(memory_server(Memories(database, writer)), log_level="warning", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    serving.cancel()
    await asyncio.wait([serving])
    listener.close()
    await asyncio.to_thread(writer.close)
    database.close()


class TestHttpMemory(MemorySuite):
    @pytest.fixture
    async def store(self, address: str) -> AsyncGenerator[MemoryStore]:
        yield HttpMemory(address, lambda: KEY)


async def test_a_keeper_that_says_no_is_refused_and_one_that_is_away_unavailable(address: str) -> None:
    with pytest.raises(Refused, match="status 401"):
        await HttpMemory(address, lambda: "wrong").read(place(), "k")
    with pytest.raises(Unavailable):
        await HttpMemory("http://127.0.0.1:1", lambda: KEY).read(place(), "k")
