"""Both engines, with empty tables for each test: a copy of a migrated file, or an emptied database."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import delete

from records.bus import bus_for
from records.database import Database
from records.hints import Hints
from records.tables import metadata
from records.writer import Writer
from tests import migrated
from tests.postgres import Cluster
from tests.records.world import World


@pytest.fixture(scope="session")
def migrated_database(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Database:
    database = Database.open(cluster.url(cluster.create()), tmp_path_factory.mktemp("blobs"))
    database.migrate()
    return database


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An address at which the newest tables stand, empty."""
    if request.param == "sqlite":
        file = tmp_path / "rhone.db"
        migrated.put(file)
        return f"sqlite:///{file}"
    server: Database = request.getfixturevalue("migrated_database")
    with server.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # no trigger refuses it
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))
        connection.commit()
    return server.url


@pytest.fixture
async def database(url: str, tmp_path: Path) -> AsyncGenerator[Database]:
    opened = Database.open(url, tmp_path / "blobs")
    yield opened
    opened.close()


@pytest.fixture
async def hints(url: str, tmp_path: Path) -> AsyncGenerator[Hints]:
    bus = bus_for(url, tmp_path / "hints")
    await bus.start()
    yield bus
    await bus.close()


@pytest.fixture
async def writer(database: Database, hints: Hints) -> AsyncGenerator[Writer]:
    started = Writer(database, hints)
    yield started
    started.close()


@pytest.fixture
async def world(database: Database, writer: Writer) -> World:
    return await World.make(database, writer)
