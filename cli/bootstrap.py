"""The first start of a deployment: its tables, its administrator, and the secrets that it is built on."""

from typing import Annotated

import typer

from cli import show as tell
from cli.home import Home, write_whole
from cli.options import AsJson, DataDir
from cli.secrets import make_secrets
from cli.settings import read_settings
from protocol.principal import ALL_SCOPES
from records import keys, principals
from records.database import Database
from records.principals import NewKey
from records.tx import Tx


def init(
    data: DataDir = None,
    database_url: Annotated[
        str | None, typer.Option(help="Database of the deployment; else SQLite in the data directory.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prepare a data directory and its database; safe to repeat.

    `rhone up` does it by itself.
    """
    home = Home(read_settings(data=data).data)
    bootstrap(home, database_url)
    told = {"data": str(home.root), "key_file": str(home.admin_key)}
    tell.done(told, f"{home.root} is ready; the administrator's key is in {home.admin_key}", as_json=as_json)


def bootstrap(home: Home, database_url: str | None = None) -> None:
    """Repeating it changes nothing; what is missing is made again."""
    home.make()
    pepper = make_secrets(home)
    database = Database.open(database_url or f"sqlite:///{home.database}", home.root / "blobs")
    try:
        database.migrate(pepper)
        _make_administrator(database, home, pepper)
    finally:
        database.close()


def _make_administrator(database: Database, home: Home, pepper: bytes) -> None:
    text = home.admin_key.read_text().strip() if home.admin_key.exists() else ""
    known, minted = keys.read(text, pepper), keys.mint(pepper)
    new = NewKey(
        id=minted.key_id, principal_id=principals.ADMIN, scopes=ALL_SCOPES, secret_hash=minted.secret_hash
    )
    link = database.link()
    try:
        tx = Tx(link, ())
        tenant, _ = principals.bootstrap(tx)
        valid = known is not None and principals.authenticate(tx.connection, *known) is not None
        if not valid:
            principals.create_key(tx, tenant, new)
        tx.commit()
    finally:
        link.close()
    if not valid:
        write_whole(home.admin_key, minted.token + "\n", mode=0o600)
