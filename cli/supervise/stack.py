"""The programs of one machine, and when they are ready."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from cli.failure import Failure
from cli.home import Home, write_whole
from cli.ports import free, is_free
from cli.setup.paths import temporal_binary
from cli.supervise.child import Program
from cli.supervise.lock import MARK

_TUNED = (
    *("--log-level", "error"),
    *("--sqlite-pragma", "journal_mode=wal"),
    *("--sqlite-pragma", "synchronous=2"),
    *("--dynamic-config-value", "history.transferProcessorMaxPollRPS=5000"),
    *("--dynamic-config-value", "history.timerProcessorMaxPollRPS=5000"),
    *("--dynamic-config-value", "history.visibilityProcessorMaxPollRPS=5000"),
    *("--dynamic-config-value", 'history.timerProcessorMaxTimeShift="10ms"'),
    *("--dynamic-config-value", "system.enableActivityEagerExecution=true"),
    *("--dynamic-config-value", "matching.numTaskqueueReadPartitions=1"),
    *("--dynamic-config-value", "matching.numTaskqueueWritePartitions=1"),
    *("--dynamic-config-value", 'history.workflowIdReuseMinimalInterval="1ms"'),
)
"""A step costs 7 ms instead of 100, and a short timer its time instead of a second: that is how soon a retry
comes. The interval is safe because the story bounds how often it continues as new; `synchronous=1` would lose
acknowledged commits."""


@dataclass(frozen=True)
class Place:
    """Where the stack of one machine keeps its things and answers."""

    home: Home
    cache: Path
    config: Path | None
    port: int
    temporal_port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


def choose_place(home: Home, cache: Path, config: Path | None, port: int) -> Place:
    """Ports are kept: what is restarted is found again where it was. Port 0 takes a free one."""
    kept = home.read_place()
    if port and not is_free(port):
        raise Failure(f"port {port} is taken; choose another with --port, or 0 for any free one")
    gateway = port or free(kept.get("port", 0))
    temporal = free(kept.get("temporal_port", 0))
    place = {"port": gateway, "temporal_port": temporal, "config": str(config) if config else None}
    write_whole(home.place, json.dumps(place) + "\n")
    return Place(home, cache, config, gateway, temporal)


def temporal(place: Place) -> Program:
    binary = temporal_binary(place.home.root / "cache", place.cache)
    if binary is None:
        raise Failure("there is no Temporal server on this machine; `rhone setup` gets one")
    files = ("--db-filename", str(place.home.temporal_database))
    where = ("--headless", "--ip", "127.0.0.1", "--port", str(place.temporal_port))
    argv = (str(binary), "server", "start-dev", *where, *files, *_TUNED)
    return Program("temporal", argv, _environment(place), grace=10)


def worker(place: Place) -> Program:
    return Program("worker", (sys.executable, "-m", "worker.main"), _environment(place), grace=20)


def egress(place: Place) -> Program:
    return Program("egress", (sys.executable, "-m", "worker.egress.main"), _environment(place), grace=5)


def gateway(place: Place) -> Program:
    return Program("gateway", (sys.executable, "-m", "gateway.main"), _environment(place), grace=15)


def _environment(place: Place) -> dict[str, str]:
    environment = {
        **os.environ,
        MARK: str(place.home.root),
        "RHONE_DATA": str(place.home.root),
        "RHONE_CACHE": str(place.cache),
        "RHONE_TEMPORAL_ADDRESS": f"127.0.0.1:{place.temporal_port}",
        "RHONE_HOST": "127.0.0.1",
        "RHONE_PORT": str(place.port),
    }
    # These would point a child to somebody else's records.
    for name in ("RHONE_DATABASE_URL", "RHONE_TEMPORAL_NAMESPACE", "RHONE_CONFIG"):
        environment.pop(name, None)
    if place.config is not None:
        environment["RHONE_CONFIG"] = str(place.config)
    return environment


async def not_ready(place: Place) -> str | None:
    """What is missing; None once the gateway serves and a worker polls."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", place.port)
    except OSError:
        return "the gateway does not answer yet"
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
    except OSError as error:
        return f"the gateway hung up: {error}"
    finally:
        writer.close()
    head, _, body = answer.partition(b"\r\n\r\n")
    if head[9:12] != b"200":
        return body.decode(errors="replace") or "the gateway gave no answer"
    return None if place.home.worker_ready.exists() else "the worker does not poll yet"
