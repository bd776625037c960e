"""The programs of the production shape that have no package: Temporal's server, and Docker's compose."""

import subprocess
from pathlib import Path

from cli.setup.golang import TOOLS, Program, Toolchain
from cli.setup.paths import Cache
from cli.setup.process import Workshop

TEMPORAL_SERVER_VERSION = "1.32.1"
COMPOSE_VERSION = "2.40.3"

_PINS = TOOLS / "temporal-server"
_SERVER = Program("go.temporal.io/server/cmd/server", _PINS, ("-ldflags=-s -w",), cgo=False)
_SQL_TOOL = Program("go.temporal.io/server/cmd/tools/sql", _PINS, ("-ldflags=-s -w",), cgo=False)
_COMPOSE = Program(
    "github.com/docker/compose/v2/cmd",
    TOOLS / "compose",
    (f"-ldflags=-s -w -X github.com/docker/compose/v2/internal.Version=v{COMPOSE_VERSION}",),
    cgo=False,
)


class Programs:
    """Where they lie once they are built."""

    def __init__(self, cache: Cache) -> None:
        self.cache = cache
        self.server = cache.binaries / f"temporal-server-{TEMPORAL_SERVER_VERSION}"
        self.sql_tool = cache.binaries / f"temporal-sql-tool-{TEMPORAL_SERVER_VERSION}"
        self.own_compose = cache.binaries / f"docker-compose-{COMPOSE_VERSION}"

    def make(self, workshop: Workshop) -> None:
        """Build what is not there."""
        if not (self.server.exists() and self.sql_tool.exists()):
            workshop.say(f"building the Temporal server {TEMPORAL_SERVER_VERSION}: 4 minutes on 2 cores")
            self._build(_SERVER, self.server, workshop)
            self._build(_SQL_TOOL, self.sql_tool, workshop)
        if not _engine_has_compose() and not self.own_compose.exists():
            workshop.say(f"building Docker's compose {COMPOSE_VERSION}: 1 to 2 minutes on 2 cores")
            self._build(_COMPOSE, self.own_compose, workshop)

    def compose(self) -> tuple[str, ...]:
        """The command; the plugin is a program that also runs by itself."""
        return ("docker", "compose") if _engine_has_compose() else (str(self.own_compose),)

    def _build(self, program: Program, output: Path, workshop: Workshop) -> None:
        toolchain = Toolchain(self.cache)
        if not toolchain.installed:
            toolchain.install(workshop)
        toolchain.build(program, output, workshop)


def _engine_has_compose() -> bool:
    try:
        told = subprocess.run(["docker", "compose", "version", "--short"], capture_output=True, text=True)
    except FileNotFoundError:
        return False
    return told.returncode == 0 and told.stdout.strip().lstrip("v").startswith("2.")
