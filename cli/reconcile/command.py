"""The command `rhone reconcile`."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli import show as tell
from cli.failure import REFUSED, Failure
from cli.home import Home
from cli.options import AsJson, DataDir
from cli.reconcile import boxes, engine, forge, records
from cli.reconcile.findings import CHECKS, Finding, lasting
from cli.settings import read_settings
from protocol.config import Config
from protocol.config_text import parse_config
from records.checks import forge_deeds, open_runs
from records.database import Database
from records.secrets import Secrets
from targets.agent_binary import agent_path
from targets.docker import DockerHost
from targets.forge.forges import Forges


@dataclass(frozen=True)
class Sources:
    """Where the four sides of the story are; what is not said is that of `rhone up` on the data directory."""

    database_url: Annotated[
        str | None, typer.Option(help="Database; else the data directory's SQLite file.")
    ] = None
    temporal_address: Annotated[
        str | None, typer.Option(help="Temporal server; else that of the data directory.")
    ] = None
    temporal_namespace: Annotated[str, typer.Option(help="Namespace on it.")] = "default"
    config: Annotated[Path | None, typer.Option(help="rhone.toml; else that of the last start.")] = None


def reconcile(
    sources: Sources,
    data: DataDir = None,
    patience: Annotated[
        float, typer.Option(help="What is gone after so many seconds was a step under way, not a fault.")
    ] = 60,
    as_json: AsJson = False,
) -> None:
    """Check that all sides tell one story.

    The sides are the records, Temporal, Docker and the forges; ends with 1 where one is broken.
    """
    settings = read_settings(data=data)
    found = asyncio.run(_look(Home(settings.data), settings.cache, sources, patience))
    broken = {finding.check for finding in found}
    if as_json:
        checks = [{"check": check, "holds": check not in broken, "says": CHECKS[check]} for check in CHECKS]
        tell.as_json({"ok": not found, "checks": checks, "findings": [vars(one) for one in found]})
    else:
        for check, says in CHECKS.items():
            print(f"{'BROKEN' if check in broken else 'holds':<7} {says}")
        for one in found:
            print(f"  {one.check}: {one.subject}: {one.text}")
    if found:
        raise typer.Exit(REFUSED)


async def _look(home: Home, cache: Path, sources: Sources, patience: float) -> list[Finding]:
    place = home.read_place()
    url = sources.database_url or f"sqlite:///{home.database}"
    address = sources.temporal_address or _address(place.get("temporal_port"), home)
    config_path = sources.config or (Path(place["config"]) if place.get("config") else None)
    config = parse_config(config_path.read_text(), name=config_path.name) if config_path else Config()
    secrets = Secrets(home.root, os.environ)
    database = Database.open(url, home.root / "blobs")
    host = DockerHost(agent_path(cache), pool_size=0, label=_installation(home))
    try:
        forges = Forges(config.forges, secrets.resolve, home.root)
        client = await engine.connect(address, sources.temporal_namespace)

        async def once() -> list[Finding]:
            found = await database.read(records.look)
            # First the boxes, then the runs: a run that ends in between has its box given back.
            known, runs = await database.read(boxes.known), await database.read(open_runs)
            found += await engine.look(client, runs)
            found += await boxes.look(host, known, runs)
            return found + await forge.look(forges, await database.read(forge_deeds))

        return await lasting(once, patience)
    finally:
        await host.close()
        database.close()


def _address(port: int | None, home: Home) -> str:
    if port is None:
        raise Failure(f"nothing was ever started on {home.root}; say --database-url and --temporal-address")
    return f"127.0.0.1:{port}"


def _installation(home: Home) -> str:
    return home.installation.read_text().strip() if home.installation.exists() else ""
