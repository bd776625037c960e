"""What tests share: what set-up built, one Temporal server, and one PostgreSQL for all that need one."""

from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import settings

from cli.setup.settings import SetupSettings
from tests.postgres import Cluster
from tests.temporal_server import TemporalServer

settings.register_profile("whole", deadline=None)
settings.load_profile("whole")
settings.register_profile("fast", max_examples=20)
settings.register_profile("soak", max_examples=1_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--repeats", type=int, default=1, help="how often each cell of the kill table is tried")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes hours runs only where it is asked for by its marker."""
    if "soak" in config.getoption("markexpr"):
        return
    long = [item for item in items if item.get_closest_marker("soak")]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if not item.get_closest_marker("soak")]


@pytest.fixture(scope="session")
def repeats(request: pytest.FixtureRequest) -> int:
    return request.config.getoption("--repeats")


@pytest.fixture(scope="session")
def cache() -> Path:
    """The binaries that set-up built."""
    return SetupSettings().data / "cache"


@pytest.fixture(scope="session")
def temporal_server(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Generator[TemporalServer]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"), cache)
    yield server
    server.kill()


@pytest.fixture(scope="session")
def cluster() -> Generator[Cluster]:
    with Cluster() as running:
        yield running
