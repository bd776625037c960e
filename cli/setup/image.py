"""Images made of a recipe: on Debian's own where a registry answers, else bootstrapped from a mirror."""

import io
import subprocess
import tempfile
from pathlib import Path

from docker.errors import APIError, BuildError, DockerException, ImageNotFound
from requests.exceptions import RequestException

from cli.setup import engine
from cli.setup.debian import configured_sources, mirror_for
from cli.setup.paths import Cache
from cli.setup.process import Workshop
from cli.setup.report import SetupFailed
from targets.images import WORKSPACE, Recipe, default_tag

_QUICK = 8.0


def make_image(cache: Cache, workshop: Workshop) -> None:
    """The default workspace image."""
    make_from(WORKSPACE, default_tag(), cache, workshop)


def make_from(recipe: Recipe, tag: str, cache: Cache, workshop: Workshop) -> None:
    """The image of a recipe, where the engine does not have it yet."""
    if engine.has_image(tag):
        return
    if _has_base(recipe):
        workshop.say(f"building the image {tag} on Debian's image: about a minute")
        if _build(recipe, tag, workshop):
            return
    workshop.say(f"bootstrapping the image {tag} from a Debian mirror: about a minute")
    _bootstrap(recipe, tag, cache, workshop)


def _base(recipe: Recipe) -> tuple[str, str]:
    return "debian", f"{recipe.suite}-slim"


def _has_base(recipe: Recipe) -> bool:
    """Whether Debian's image is here or arrives; a registry that is silent for some seconds is away."""
    client = engine.connect(timeout=_QUICK)
    name, tag = _base(recipe)
    try:
        client.images.get(f"{name}:{tag}")
    except ImageNotFound:
        try:
            told = list(client.api.pull(name, tag=tag, stream=True, decode=True))
        except (DockerException, RequestException):
            return False
        return not any("error" in line for line in told)
    finally:
        client.close()
    return True


def dockerfile(recipe: Recipe) -> str:
    name, tag = _base(recipe)
    steps = [
        "export DEBIAN_FRONTEND=noninteractive",
        "apt-get update",
        f"apt-get install -y --no-install-recommends {' '.join(recipe.packages)}",
        "apt-get clean",
        "rm -rf /var/lib/apt/lists/*",
        *finish(recipe),
    ]
    return "\n".join([f"FROM {name}:{tag}", f"RUN {' && '.join(steps)}", *settings(recipe), ""])


def finish(recipe: Recipe) -> list[str]:
    """What is done inside the new root once its packages are there."""
    return [
        f"useradd --uid {recipe.uid} --user-group -m --home-dir {recipe.home} -s /bin/bash {recipe.user}",
        f"mkdir -p {' '.join(recipe.scratch)}",
        f"chmod 1777 {' '.join(recipe.scratch)}",
    ]


def settings(recipe: Recipe) -> list[str]:
    return [
        *(f"ENV {entry}" for entry in recipe.environment),
        f"USER {recipe.user}",
        "WORKDIR /workspace",
        'CMD ["/bin/bash"]',
    ]


def _build(recipe: Recipe, tag: str, workshop: Workshop) -> bool:
    client = engine.connect()
    recipe_file = io.BytesIO(dockerfile(recipe).encode())
    try:
        # The host's network: a build needs the mirror and nothing else, and bridges fail on more machines.
        client.images.build(fileobj=recipe_file, tag=tag, rm=True, forcerm=True, network_mode="host")
    except (BuildError, APIError) as error:
        workshop.say(f"that failed: {error}")
        return False
    finally:
        client.close()
    return True


def _bootstrap(recipe: Recipe, tag: str, cache: Cache, workshop: Workshop) -> None:
    mirror = mirror_for(recipe.suite, configured_sources())
    options = [f"--include={','.join(recipe.packages)}", "--variant=minbase"]
    if mirror is not None and mirror.keyring is not None and Path(mirror.keyring).exists():
        options.append(f"--keyring={mirror.keyring}")
    cache.root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.root, prefix="image-", ignore_cleanup_errors=True) as name:
        root = Path(name) / "root"
        where = [mirror.uri] if mirror is not None else []
        _run_in_own_mounts(["debootstrap", *options, recipe.suite, root, *where], workshop)
        script = " && ".join(["apt-get clean", "rm -rf /var/lib/apt/lists/*", *finish(recipe)])
        _run_in_own_mounts(["chroot", root, "/bin/sh", "-c", script], workshop)
        (root / "etc/resolv.conf").unlink(missing_ok=True)
        (root / "etc/hostname").unlink(missing_ok=True)
        _import(root, recipe, tag, workshop)


def _run_in_own_mounts(argv: list[str | Path], workshop: Workshop) -> None:
    # debootstrap mounts /proc and /sys into the new root; in a mount namespace of its own they end with it,
    # so nothing of the host can lie under a directory that is deleted later.
    # The whole of it ends when set-up is ended.
    own = ["setpriv", "--pdeathsig=KILL", "unshare", "--mount", "--fork", "--kill-child"]
    workshop.run([*own, "env", "LC_ALL=C.UTF-8", *argv])


def _import(root: Path, recipe: Recipe, tag: str, workshop: Workshop) -> None:
    repository, _, version = tag.partition(":")
    client = engine.connect()
    with workshop.open_log() as log:
        tar = subprocess.Popen(
            ["tar", "--numeric-owner", "-C", root, "-c", "."], stdout=subprocess.PIPE, stderr=log
        )
        try:
            client.api.import_image(
                src=tar.stdout, repository=repository, tag=version, changes=settings(recipe)
            )
        except (DockerException, RequestException) as error:
            raise SetupFailed(workshop.part, f"the engine did not take the image: {error}") from error
        finally:
            tar.kill()
            tar.wait()
            client.close()
