"""What a deployment keeps on its machine outside of containers, and the file that tells compose about it."""

import os
import secrets
from importlib.metadata import version
from pathlib import Path

from cli.home import Home, write_whole
from cli.production.images import UID, Images
from cli.setup.settings import CHECKOUT
from protocol.config_text import parse_config
from protocol.ids import fresh

_ROLES = ("rhone", "temporal")


class Place:
    """The directory `production` of the data directory."""

    def __init__(self, data: Path) -> None:
        self.root = data / "production"
        # what gateways and workers share; containers see it at the path that it has outside
        self.home = Home(self.root / "data")
        self.secrets = self.root / "secrets"
        self.compose_environment = self.root / "compose.env"

    @property
    def config(self) -> Path:
        """Where rhone.toml and the files that it names lie: an installation's own, or what is shipped."""
        own = self.root / "config"
        return own if own.is_dir() else CHECKOUT / "images" / "config"

    @property
    def has_egress(self) -> bool:
        """Whether the boxes of this deployment may be given a way out."""
        file = self.config / "rhone.toml"
        return parse_config(file.read_text(), name=str(file)).egress is not None

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
        if not self.home.installation.exists():
            # Two workers that start together would make two.
            self.keep(self.home.installation, fresh("req_").removeprefix("req_"))

    def keep(self, path: Path, text: str) -> None:
        """A file for nobody but the one who runs in the containers."""
        write_whole(path, text, mode=0o600)
        os.chown(path, UID, UID)

    def tell_compose(self, images: Images, cache: Path, *, group: int) -> None:
        """`group` may speak to the Docker engine."""
        told = {
            # Containers and volumes are called by the installation: another directory has its own.
            "RHONE_PROJECT": f"rhone-{self.home.installation.read_text().strip()[-8:]}",
            "RHONE_HOME": str(self.root),
            "RHONE_CACHE": str(cache),
            "RHONE_CONFIG_DIR": str(self.config),
            "RHONE_DOCKER_GROUP": str(group),
            "RHONE_BUILD_ID": version("rhone-runtime"),
            **images.environment,
        }
        write_whole(self.compose_environment, "".join(f"{name}={value}\n" for name, value in told.items()))
