"""Where set-up keeps what it builds, and where the rest of the product finds it."""

import shutil
from pathlib import Path

from cli.setup.settings import SetupSettings

GO_VERSION = "1.27.3"
TEMPORAL_VERSION = "1.5.1"
GITEA_VERSION = "1.25.5"
_ADMIN_PATH = "/usr/local/sbin:/usr/sbin:/sbin"


class Cache:
    """The layout of `<data>/cache`: everything in it can be deleted and is made again."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.logs = root / "logs"
        self.go_environment = root / "go" / GO_VERSION
        self.binaries = root / "bin"
        self.temporal = self.binaries / f"temporal-{TEMPORAL_VERSION}"
        self.gitea = self.binaries / f"gitea-{GITEA_VERSION}"
        # templates, translations and public files, which the forge reads at run time
        self.gitea_static = root / f"gitea-static-{GITEA_VERSION}"

    @property
    def has_gitea(self) -> bool:
        return self.gitea.exists() and self.gitea_static.exists()


def cache_of(data: Path) -> Cache:
    return Cache(data / "cache")


def temporal_binary(*caches: Path) -> Path | None:
    """The Temporal server to start: RHONE_TEMPORAL_BIN, else the one on PATH, else the first in a cache."""
    settings = SetupSettings()
    if settings.temporal_bin is not None:
        return settings.temporal_bin
    cached = (Cache(cache).temporal for cache in caches)
    return program("temporal") or next((path for path in cached if path.exists()), None)


def program(name: str) -> Path | None:
    """A program on PATH, or in the administrator's directories that a user's PATH often lacks."""
    found = shutil.which(name, path=f"{SetupSettings().search_path}:{_ADMIN_PATH}")
    return Path(found) if found else None


def postgres_programs() -> Path | None:
    """The directory with `initdb` and `postgres`; Debian keeps it off PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    return versions[-1].parent if versions else None
