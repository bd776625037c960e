"""The images of the production shape, each tagged by the digest of what it is made of."""

import os
import platform
import shutil
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from docker.errors import APIError, BuildError

from cli.production.programs import TEMPORAL_SERVER_VERSION, Programs
from cli.setup import engine
from cli.setup.golang import TOOLS
from cli.setup.image import make_from
from cli.setup.paths import GITEA_VERSION, Cache
from cli.setup.process import Workshop
from cli.setup.report import SetupFailed
from cli.setup.settings import CHECKOUT
from protocol.digest import digest, digest_bytes
from targets.images import WORKSPACE, Recipe

UID = 10_001
"""Who all containers run as, and whom the data directory belongs to."""

_PYTHON = "3.11"
"""What Debian's release of the recipes has."""

_MACHINE = Recipe(
    suite=WORKSPACE.suite,
    packages=("ca-certificates", "curl", "git", "python3"),
    user="rhone",
    uid=UID,
    home="/home/rhone",
    scratch=("/tmp", "/var/tmp"),
    environment=("LANG=C.UTF-8",),
)
_DATABASE = _MACHINE.model_copy(update={"packages": ("postgresql-15",)})

_TOLD = 2_000

Fill = Callable[[Path], object]


@dataclass(frozen=True)
class Images:
    """The tags that docker-compose.yml asks for."""

    rhone: str
    temporal: str
    postgres: str
    forge: str

    @property
    def environment(self) -> dict[str, str]:
        return {
            "RHONE_IMAGE": self.rhone,
            "RHONE_TEMPORAL_IMAGE": self.temporal,
            "RHONE_POSTGRES_IMAGE": self.postgres,
            "RHONE_FORGE_IMAGE": self.forge,
        }


def make_images(cache: Cache, workshop: Workshop) -> Images:
    """All of them; what the engine has under its tag is not made again."""
    return _Studio(cache, workshop).make()


class _Studio:
    def __init__(self, cache: Cache, workshop: Workshop) -> None:
        self._cache = cache
        self._workshop = workshop
        self._programs = Programs(cache)

    def make(self) -> Images:
        machine, database = self._from(_MACHINE, "machine"), self._from(_DATABASE, "database")
        locked = self._requirements()
        packages = self._image("packages", machine, locked, lambda context: self._install(context, locked))
        return Images(
            rhone=self._image("runtime", packages, source_digest(CHECKOUT), self._install_rhone),
            temporal=self._image("temporal", machine, TEMPORAL_SERVER_VERSION, self._add_temporal),
            postgres=self._image("postgres", database, "", lambda context: None),
            forge=self._image("forge", machine, GITEA_VERSION, self._add_forge),
        )

    def _from(self, recipe: Recipe, name: str) -> str:
        tag = f"rhone/{name}:{_short(digest(recipe))}"
        make_from(recipe, tag, self._cache, self._workshop)
        return tag

    def _image(self, name: str, base: str, content: str, fill: Fill) -> str:
        """The image of images/NAME on `base`; `content` tells apart what `fill` adds to it."""
        files = sorted((CHECKOUT / "images" / name).iterdir())
        parts = [base, content, *(f"{path.name} {digest_bytes(path.read_bytes())}" for path in files)]
        tag = f"rhone/{name}:{_short(digest(parts))}"
        if engine.has_image(tag):
            return tag
        self._workshop.say(f"building the image {tag}")
        with tempfile.TemporaryDirectory(dir=self._cache.root, prefix=f"{name}-") as folder:
            context = Path(folder)
            for path in files:
                shutil.copy(path, context)
            fill(context)
            self._build(context, tag, base)
        return tag

    def _build(self, context: Path, tag: str, base: str) -> None:
        client = engine.connect()
        try:
            client.images.build(path=str(context), tag=tag, buildargs={"BASE": base}, rm=True, forcerm=True)
        except BuildError as error:
            said = "".join(str(line.get("stream", "")) for line in error.build_log)  # pyright: ignore
            raise self._not_built(tag, f"{error}\n{said[-_TOLD:]}") from error
        except APIError as error:
            raise self._not_built(tag, str(error)) from error
        finally:
            client.close()

    def _not_built(self, tag: str, why: str) -> SetupFailed:
        return SetupFailed(self._workshop.part, f"the image {tag} was not built: {why}")

    def _requirements(self) -> str:
        """The packages of uv.lock that run in production, each with its hash."""
        with tempfile.NamedTemporaryFile(dir=self._cache.root, suffix=".txt") as file:
            options = ["--frozen", "--no-dev", "--no-emit-project", "--no-annotate", "--no-header", "--quiet"]
            self._workshop.run([TOOLS / "uv", "export", *options, "-o", file.name], cwd=CHECKOUT)
            return Path(file.name).read_text()

    def _install(self, context: Path, locked: str) -> None:
        """Wheels for the Python of the image, whatever the machine's own is."""
        listed = context / "requirements.txt"
        listed.write_text(locked)
        wheels = ["--python-version", _PYTHON, "--python-platform", f"{platform.machine()}-manylinux_2_36"]
        self._uv_install("--only-binary", ":all:", *wheels, "--target", context / "site", "-r", listed)

    def _install_rhone(self, context: Path) -> None:
        self._uv_install("--no-deps", "--target", context / "source", CHECKOUT)

    def _uv_install(self, *arguments: str | Path) -> None:
        self._workshop.run([TOOLS / "uv", "pip", "install", "--quiet", *arguments], cwd=CHECKOUT)

    def _add_temporal(self, context: Path) -> None:
        shutil.copy(self._programs.server, context / "temporal-server")
        shutil.copy(self._programs.sql_tool, context / "temporal-sql-tool")

    def _add_forge(self, context: Path) -> None:
        shutil.copy(self._cache.gitea, context / "gitea")
        shutil.copytree(self._cache.gitea_static, context / "static")


def source_digest(checkout: Path) -> str:
    """Two checkouts with the same product have the same runtime image."""
    settings = tomllib.loads((checkout / "pyproject.toml").read_text())
    packages = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    listed = [f"{name} {digest_bytes((checkout / name).read_bytes())}" for name in _files(checkout, packages)]
    return digest([digest_bytes((checkout / "pyproject.toml").read_bytes()), *listed])


def _files(checkout: Path, packages: list[str]) -> Iterator[str]:
    for package in sorted(packages):
        for folder, inner, names in os.walk(checkout / package):
            inner[:] = sorted(name for name in inner if name != "__pycache__")
            yield from (str((Path(folder) / name).relative_to(checkout)) for name in sorted(names))


def _short(name: str) -> str:
    return name.removeprefix("sha256:")[:12]
