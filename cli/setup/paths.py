"""Where set-up keeps what it builds, and where the rest of the product finds it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from cli.setup.settings import SetupSettings

GO_VERSION = "1.27.3"
TEMPORAL_VERSION = "1.5.1"
GITEA_VERSION = "1.25.5"
_ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True)
class Cache:
    """The layout of `<data>/cache`: everything in it can be deleted and is made again."""

    root: Path

    @property
    def go_environment(self) -> Path:
        return self.root / "go" / GO_VERSION

    @property
    def binaries(self) -> Path:
        return self.root / "bin"

    @property
    def temporal(self) -> Path:
        return self.binaries / f"temporal-{TEMPORAL_VERSION}"

    @property
    def gitea(self) -> Path:
        return self.binaries / f"gitea-{GITEA_VERSION}"

    @property
    def gitea_static(self) -> Path:
        """Templates, translations and public files, which the forge reads at run time."""
        return self.root / f"gitea-static-{GITEA_VERSION}"

    @property
    def logs(self) -> Path:
        return self.root / "logs"


def cache_of(data: Path) -> Cache:
    return Cache(data / "cache")


def temporal_binary(data: Path) -> Path | None:
    """The Temporal server to start: RHONE_TEMPORAL_BIN, else the one on PATH, else the one in the cache."""
    settings = SetupSettings()
    if settings.temporal_bin is not None:
        return settings.temporal_bin
    on_path = program("temporal")
    if on_path is not None:
        return on_path
    cached = cache_of(data).temporal
    return cached if cached.exists() else None


def gitea_binary(data: Path) -> Path | None:
    cache = cache_of(data)
    return cache.gitea if cache.gitea.exists() and cache.gitea_static.exists() else None


def program(name: str) -> Path | None:
    """A program on PATH, or in the administrator's directories that a user's PATH often lacks."""
    found = shutil.which(name, path=f"{SetupSettings().search_path}:{_ADMIN_PATH}")
    return Path(found) if found else None


def postgres_programs() -> Path | None:
    """The directory with `initdb` and `postgres`; Debian keeps it off PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return versions[-1].parent if versions else None
