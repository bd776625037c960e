"""The deployment: its directory, its secrets, its configuration, its database."""

import asyncio
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, text

from cli.doctor.check import Check, good, missing, weak
from cli.home import Home
from protocol.config import Config
from protocol.config_text import parse_config
from protocol.egress import EgressEntry
from protocol.errors import Fault
from protocol.secret import SecretRef
from providers.registry import Registry
from records.database import Database
from records.secrets import Secrets

_NEAR = ("localhost:", "127.", "0.0.0.0:", "169.254.")
_POSTGRES = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


def look(home: Home, config: Config, base: Path, database_url: str | None) -> Iterator[Check]:
    if not home.root.exists():
        yield weak("data directory", f"{home.root} is not there yet", "rhone up makes it")
        return
    yield _closed("data directory", home.root)
    for path in (home.admin_key, home.root / "pepper", home.root / "signing.key"):
        if path.exists():
            yield _closed(path.name, path)
    yield from _secrets(home, config)
    yield from _egress(config.egress, base)
    yield _models(home, config, base)
    yield from _database(home, database_url)


def images(config: Config) -> set[str]:
    """What boxes are made of: those of workspaces, and those of MCP servers that are programs."""
    programs = {entry.stdio.image for entry in config.mcp_servers.values() if entry.stdio is not None}
    workspaces = {entry.image for entry in config.targets.values() if not entry.of_repository}
    return (workspaces or {"default"}) | programs


def read_config(home: Home, asked: Path | None) -> tuple[Config, Path, Check]:
    """The configuration of the last start, else the one that a start here would take."""
    known = home.read_place().get("config")
    paths = [Path(known)] if known else [Path("rhone.toml"), home.config]
    path = asked or next((path for path in paths if path.exists()), None)
    if path is None:
        built_in = weak("configuration", "none: no model, workspace or forge", "write a rhone.toml")
        return Config(), home.root, built_in
    try:
        config = parse_config(path.read_text(), name=str(path))
    except (Fault, OSError) as error:
        return Config(), path.parent, missing("configuration", str(error), "mend the file")
    return config, path.absolute().parent, good("configuration", str(path))


def _closed(name: str, path: Path) -> Check:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        closed = "700" if path.is_dir() else "600"
        return weak(name, f"{path} is open to others ({mode:o})", f"chmod {closed} {path}")
    return good(name, str(path))


def _secrets(home: Home, config: Config) -> Iterator[Check]:
    references: list[tuple[str, SecretRef]] = [
        *((f"key of {name}", one.api_key_ref) for name, one in config.providers.items() if one.api_key_ref),
        *((f"token of {name}", one.tokenRef) for name, one in config.forges.items()),
        *(
            (f"credential {name}", one.valueRef)
            for name, one in (config.egress or EgressEntry()).credentials.items()
        ),
    ]
    secrets = Secrets(home.root, os.environ)
    for name, reference in references:
        try:
            secrets.resolve(reference)
        except Fault as fault:
            yield missing(name, fault.message, "set it, or change the reference in rhone.toml")
            continue
        if reference.kind == "file":
            yield _closed(name, home.root / reference.name)
        else:
            yield good(name, f"{reference.kind}:{reference.name}")


def _egress(entry: EgressEntry | None, base: Path) -> Iterator[Check]:
    if entry is None:
        return
    if entry.ca is not None and not (base / entry.ca).is_file():
        yield missing("egress", f"{base / entry.ca} is not there", "put the authorities there, or drop `ca`")
    near = [pair for pair in entry.allow_private if pair.startswith(_NEAR)]
    if near:
        told = f"boxes may be granted this machine itself: {', '.join(near)}"
        yield weak("egress", told, "take it out of `allow_private`")
    else:
        yield good("egress", "the proxy runs beside the workers")


def _models(home: Home, config: Config, base: Path) -> Check:
    try:
        registry = Registry(config, Secrets(home.root, os.environ).resolve, base)
    except Fault as fault:
        return missing("models", fault.message, "mend rhone.toml")
    names = [str(model["id"]) for model in registry.models()]
    if not names:
        return weak("models", "none", "add a [providers.*] to rhone.toml")
    return good("models", ", ".join(names))


def _database(home: Home, url: str | None) -> Iterator[Check]:
    if url is None and not home.database.exists():
        yield good("database", "none yet; rhone up makes it")
        return
    database = Database.open(url or f"sqlite:///{home.database}", home.root / "blobs")
    try:
        yield asyncio.run(database.read(_sqlite if database.is_sqlite else _postgres))
    except Fault as fault:
        yield missing("database", fault.message, "start it, or change --database-url")
    finally:
        database.close()


def _sqlite(connection: Connection) -> Check:
    journal = connection.execute(text("PRAGMA journal_mode")).scalar()
    synchronous = connection.execute(text("PRAGMA synchronous")).scalar()
    told = f"SQLite, journal_mode {journal}, synchronous {synchronous}"
    if journal != "wal" or synchronous not in (2, 3):
        return missing("database", told, "what is acknowledged may be lost: nothing else may open the file")
    return good("database", told)


def _postgres(connection: Connection) -> Check:
    found = {name: connection.execute(text(f"SHOW {name}")).scalar() for name in _POSTGRES}
    told = "PostgreSQL, " + ", ".join(f"{name} {value}" for name, value in found.items())
    if found != _POSTGRES:
        return missing("database", told, "what is acknowledged may be lost: turn all of them on")
    return good("database", told)
