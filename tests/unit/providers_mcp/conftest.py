"""A good server and a hostile one for all tests of this folder, and connections that end with their test."""

from collections.abc import AsyncGenerator, Callable, Iterator

import pytest
import pytest_asyncio

from protocol.mcp import McpServerEntry
from providers.mcp.servers import Servers
from tests.mcp_peers import Peer, peer
from tests.mcp_server import ADD


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with peer("tests.mcp_server", tmp_path_factory.mktemp("mcp")) as running:
        yield running


@pytest.fixture
def server(served: Peer) -> Peer:
    served.offer(ADD)
    (served.folder / "calls.jsonl").unlink(missing_ok=True)
    return served


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    with peer("tests.hostile_mcp", tmp_path_factory.mktemp("hostile")) as running:
        yield running


Make = Callable[..., Servers]


@pytest_asyncio.fixture
async def servers() -> AsyncGenerator[Make]:
    """Makes declared servers out of entries; their connections are gone after the test."""
    made: list[Servers] = []

    def make(**entries: McpServerEntry) -> Servers:
        made.append(Servers(entries, lambda _: "secret"))
        return made[-1]

    yield make
    for one in made:
        await one.close()
