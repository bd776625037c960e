"""Alembic, driven from here: the tables of a database brought to the newest version."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect

_SCRIPTS = Path(__file__).parent / "migrations"
_LOCK = 7_264_663  # any number that nobody else uses for an advisory lock


def upgrade(engine: Engine, pepper: bytes | None = None) -> None:
    """All or nothing; processes that start together wait for each other. `pepper` is what a step needs that
    seals what stood open before."""
    with engine.connect() as connection:
        if version(connection) == newest():
            return
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
            connection.exec_driver_sql("PRAGMA secure_delete=ON")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        else:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        _run(connection, pepper)
        connection.commit()
        connection.invalidate()


def newest() -> str:
    return max(path.stem for path in (_SCRIPTS / "versions").glob("[0-9]*.py")).partition("_")[0]


def version(connection: Connection) -> str | None:
    """At which version the tables stand; None where there are none."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


def _run(connection: Connection, pepper: bytes | None) -> None:
    # loading Alembic takes a third of a process's start, and most starts have nothing to migrate
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS))
    config.attributes |= {"connection": connection, "pepper": pepper}
    command.upgrade(config, "head")
