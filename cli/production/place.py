"""What a deployment keeps on its machine outside of containers, and the file that tells compose about it."""

import os
import secrets
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cli.home import Home, write_whole
from cli.production.images import UID, Images
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
    def forge_token(self) -> Path:
        return self.home.root / "forge.token"

    def make(self) -> None:
        """Directories and secrets, once; a deployment that is started again finds its own."""
        self.root.mkdir(mode=0o755, parents=True, exist_ok=True)
        for directory in (self.home.root, self.secrets):
            directory.mkdir(mode=0o700, exist_ok=True)
        for role in _ROLES:
            path = self.secrets / f"{role}.pgpass"
            if not path.exists():
                write_whole(path, f"postgres:5432:*:{role}:{secrets.token_hex(24)}\n", mode=0o600)
        installation = self.home.root / "installation"
        if not installation.exists():
            # Two workers that start together would make two.
            write_whole(installation, fresh("req_").removeprefix("req_"))
        self.own()

    def own(self) -> None:
        """Hand what was made here to the one who runs in the containers."""
        for path in (self.home.root, self.secrets, *self.home.root.iterdir(), *self.secrets.iterdir()):
            os.chown(path, UID, UID)

    def tell_compose(self, images: Images, cache: Path, *, group: int) -> None:
        """`group` may speak to the Docker engine."""
        told = {
            "RHONE_HOME": str(self.root),
            "RHONE_CACHE": str(cache),
            "RHONE_DOCKER_GROUP": str(group),
            "RHONE_BUILD_ID": version("rhone-runtime"),
            **images.environment,
        }
        write_whole(self.compose_environment, "".join(f"{name}={value}\n" for name, value in told.items()))
