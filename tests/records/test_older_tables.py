"""What stands in tables of the version before is carried into those of today."""

from pathlib import Path

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import select, text

from protocol.errors import InvalidRequest
from records import migrate
from records.budget_tables import accounts
from records.database import Database
from records.migrate import newest, version
from records.seal import Seal
from records.webhook_tables import webhooks
from tests.postgres import Cluster

PEPPER = b"pepper"
SECRET = "whsec_" + "A" * 32
HOOK = """
INSERT INTO webhooks (project_id, name, url, events, declared, secret, created_at, updated_at)
VALUES ('proj_1', :name, '"https://example.com/"', '["run.*"]', :declared, :secret, :at, :at)
"""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    """At version 0002, with a webhook whose secret is plain text, one that has none, and an account."""
    url = f"sqlite:///{tmp_path / 'rhone.db'}"
    if request.param == "postgresql":
        cluster: Cluster = request.getfixturevalue("cluster")
        url = cluster.url(cluster.create())
    database = Database.open(url, tmp_path / "blobs")
    with database.engine.connect() as connection:
        connection.exec_driver_sql("BEGIN")
        config = Config()
        config.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        at = "2026-06-01T00:00:00.000Z"
        for name, declared, secret in (("own", False, SECRET), ("declared", True, None)):
            row = {"name": name, "declared": declared, "secret": secret, "at": at}
            connection.execute(text(HOOK), row)
        connection.execute(text("INSERT INTO budget_accounts (id, tokens) VALUES ('a', 5)"))
        connection.commit()
    return database


def test_secrets_of_webhooks_are_sealed_and_budgets_begin_to_count_time(older: Database) -> None:
    older.migrate(PEPPER)
    with older.engine.connect() as connection:
        assert version(connection) == newest()
        kept = {row.name: row.sealed for row in connection.execute(select(webhooks))}
        counted = connection.execute(select(accounts)).one()
    assert kept["declared"] is None
    assert SECRET not in kept["own"]
    assert Seal(PEPPER).open(kept["own"], "webhook", "proj_1", "own") == SECRET
    assert (counted.tokens, counted.ms, counted.held_ms) == (5, 0, 0)
    older.close()


def test_without_the_pepper_nothing_is_migrated(older: Database) -> None:
    with pytest.raises(InvalidRequest, match="sealed"):
        older.migrate()
    with older.engine.connect() as connection:
        assert version(connection) == "0002"
        assert SECRET in connection.execute(text("SELECT secret FROM webhooks ORDER BY name DESC")).scalars()
    older.close()


@pytest.mark.parametrize("older", ["sqlite"], indirect=True)
def test_no_page_of_a_file_holds_the_plain_text_any_more(tmp_path: Path, older: Database) -> None:
    older.migrate(PEPPER)
    older.close()
    assert SECRET.encode() not in (tmp_path / "rhone.db").read_bytes()
