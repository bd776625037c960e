"""The migrations make exactly the tables that the code knows."""

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from records.database import Database
from records.memory_tables import WORDS
from records.migrate import newest, version
from records.tables import metadata


def compared(connection: Connection) -> MigrationContext:
    """All but the full-text table, which is SQLite's own and not in the metadata."""

    def ours(name: str | None, kind: str, parents: object) -> bool:
        return kind != "table" or not (name or "").startswith(WORDS)

    return MigrationContext.configure(connection, opts={"include_name": ours})


async def test_migrated_tables_are_the_ones_that_the_code_knows(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(compared(connection), metadata) == []


async def test_migrating_twice_changes_nothing(database: Database) -> None:
    database.migrate()
    with database.engine.connect() as connection:
        assert compare_metadata(compared(connection), metadata) == []


def test_a_new_file_is_migrated_from_nothing(tmp_path: Path) -> None:
    database = Database.open(f"sqlite:///{tmp_path / 'new.db'}", tmp_path / "blobs")
    database.migrate()
    with database.engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert compare_metadata(compared(connection), metadata) == []
    database.close()


async def test_the_newest_version_is_the_one_that_the_tables_are_at(database: Database) -> None:
    with database.engine.connect() as connection:
        assert version(connection) == newest()
