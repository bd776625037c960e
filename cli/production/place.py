"""What a deployment keeps on its machine outside of containers, and the file that tells compose about it."""

import os
import secrets
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cli.home import Home, write_whole
from cli.production.images import UID, Images
from cli.setup.settings import CHECKOUT
from protocol.ids import fresh

_ROLES = ("rhone", "temporal")


@dataclass(frozen=True)
class Place:
    """The directory `production` of the data directory."""

    data: Path

    @property
    def root(self) -> Path:
        return self.data / "production"

    @property
    def home(self) -> Home:
        """What gateways and workers share; containers see it at the path that it has outside."""
        return Home(self.root / "data")

    @property
    def secrets(self) -> Path:
        return self.root / "secrets"

    @property
    def compose_environment(self) -> Path:
        return self.root / "compose.env"

    @property
    def config(self) -> Path:
        """Where rhone.toml and the files that it names lie: an installation's own, or what is shipped."""
        own = self.root / "config"
        return own if own.is_dir() else CHECKOUT / "images" / "config"

    def make(self) -> None:
        """Directories and secrets, once; a deployment that is started again finds its own."""
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        for directory in (self.home.root, self.secrets):
            directory.mkdir(mode=0o700, exist_ok=True)
            os.chown(directory, UID, UID)
        for role in _ROLES:
            path = self.secrets / f"{role}.pgpass"
            if not path.exists():
                self.keep(path, f"postgres:5432:*:{role}:{secrets.token_hex(24)}\n")
        installation = self.home.root / "installation"
        if not installation.exists():
            # Two workers that start together would make two.
            self.keep(installation, fresh("req_").removeprefix("req_"))

    def keep(self, path: Path, text: str) -> None:
        """A file for nobody but the one who runs in the containers."""
        write_whole(path, text, mode=0o600)
        os.chown(path, UID, UID)

    def tell_compose(self, images: Images, cache: Path, *, group: int) -> None:
        """`group` may speak to the Docker engine."""
        told = {
            "RHONE_HOME": str(self.root),
            "RHONE_CACHE": str(cache),
            "RHONE_CONFIG_DIR": str(self.config),
            "RHONE_DOCKER_GROUP": str(group),
            "RHONE_BUILD_ID": version("rhone-runtime"),
            **images.environment,
        }
        write_whole(self.compose_environment, "".join(f"{name}={value}\n" for name, value in told.items()))
