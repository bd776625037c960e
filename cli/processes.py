"""The commands `rhone gateway`, `rhone worker` and `rhone egress`: one process of a deployment of many."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from cli.client import given
from cli.settings import read_settings


@dataclass(frozen=True)
class Deployment:
    """What every process of a deployment shares. What is not said stays as the environment has it."""

    data: Annotated[
        Path | None, typer.Option(help="Directory of keys, blobs and caches; else RHONE_DATA.")
    ] = None
    config: Annotated[Path | None, typer.Option(help="rhone.toml; else RHONE_CONFIG.")] = None
    database_url: Annotated[
        str | None, typer.Option(help="As postgresql+psycopg://USER@HOST/NAME; else RHONE_DATABASE_URL.")
    ] = None
    temporal_address: Annotated[
        str | None, typer.Option(help="As HOST:7233; else RHONE_TEMPORAL_ADDRESS.")
    ] = None
    temporal_namespace: Annotated[
        str | None, typer.Option(help="Else RHONE_TEMPORAL_NAMESPACE, else default.")
    ] = None

    def environment(self) -> dict[str, object]:
        return given(
            RHONE_DATA=read_settings(data=self.data).data,
            RHONE_CONFIG=self.config and self.config.absolute(),
            RHONE_DATABASE_URL=self.database_url,
            RHONE_TEMPORAL_ADDRESS=self.temporal_address,
            RHONE_TEMPORAL_NAMESPACE=self.temporal_namespace,
        )


def gateway(
    deployment: Deployment,
    host: Annotated[str | None, typer.Option(help="Address to listen on; else RHONE_HOST.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; else RHONE_PORT, else 8080.")] = None,
) -> None:
    """Run one gateway by itself.

    Any number of them serve the same records.
    """
    _become("gateway.main", deployment.environment() | given(RHONE_HOST=host, RHONE_PORT=port))


def worker(deployment: Deployment) -> None:
    """Run one worker by itself.

    Any number of them share the work.
    """
    _become("worker.main", deployment.environment())


def egress(deployment: Deployment) -> None:
    """Run the egress proxy of one machine by itself.

    Beside its workers, on the same data directory; a second one waits for the end of the first.
    """
    _become("worker.egress.main", deployment.environment())


def _become(module: str, changes: Mapping[str, object]) -> None:
    environment = os.environ | {name: str(value) for name, value in changes.items()}
    os.execve(sys.executable, [sys.executable, "-m", module], environment)
