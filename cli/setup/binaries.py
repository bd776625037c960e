"""The programs that are not Python: the Temporal server, the agent of the boxes, the forge."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cli.setup.golang import TOOLS, Program, Toolchain
from cli.setup.paths import GITEA_VERSION, TEMPORAL_VERSION, Cache
from cli.setup.process import Workshop
from cli.setup.report import SetupFailed
from targets.agent_binary import build as build_agent

_TEMPORAL = Program(
    package="github.com/temporalio/cli/cmd/temporal",
    pins=TOOLS / "temporal",
    flags=("-ldflags=-s -w",),
    cgo=False,
)
_GITEA = Program(
    package="code.gitea.io/gitea",
    pins=TOOLS / "gitea",
    flags=("-tags=sqlite sqlite_unlock_notify", f"-ldflags=-s -w -X main.Version={GITEA_VERSION}"),
    cgo=True,  # its SQLite is C
)
_FIRST_BYTES = 10.0
_DOWNLOAD = 300.0
_STATIC = ("templates", "options", "public")

# Runs in a process of its own: the SDK's download takes no time limit, and a process can be ended.
_SDK_DOWNLOAD = """
import asyncio, sys
from temporalio.testing import WorkflowEnvironment

async def main():
    server = await WorkflowEnvironment.start_local(
        download_dest_dir=sys.argv[1], dev_server_download_version=sys.argv[2])
    await server.shutdown()

asyncio.run(main())
"""


def make_temporal(cache: Cache, toolchain: Toolchain, workshop: Workshop) -> None:
    if _download_temporal(cache, workshop):
        workshop.say(f"downloaded the Temporal server {TEMPORAL_VERSION}")
        return
    workshop.say(
        f"building the Temporal server {TEMPORAL_VERSION} from Go modules: 2 to 3 minutes on 2 cores"
    )
    toolchain.build(_TEMPORAL, cache.temporal, workshop)


def _download_temporal(cache: Cache, workshop: Workshop) -> bool:
    """Whether the SDK's own download worked; it is given up where nothing arrives within a few seconds."""
    cache.binaries.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache.root) as name, workshop.open_log() as log:
        argv = [sys.executable, "-c", _SDK_DOWNLOAD, name, f"v{TEMPORAL_VERSION}"]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        started = time.monotonic()
        while process.poll() is None:
            arriving = any(Path(name).iterdir())
            if time.monotonic() - started > (_DOWNLOAD if arriving else _FIRST_BYTES):
                process.kill()
            time.sleep(0.1)
        programs = [path for path in Path(name).iterdir() if os.access(path, os.X_OK)]
        if process.returncode == 0 and len(programs) == 1:
            programs[0].replace(cache.temporal)
            return True
        return False


def make_agent(cache: Cache, toolchain: Toolchain, workshop: Workshop) -> None:
    workshop.say("building the agent that runs as the first process of a box: a few seconds")
    try:
        build_agent(toolchain.go, cache.root)
    except subprocess.CalledProcessError as error:
        raise SetupFailed(workshop.part, f"go build ended with {error.returncode}; see above") from error


def make_gitea(cache: Cache, toolchain: Toolchain, workshop: Workshop) -> None:
    workshop.say(f"building the forge Gitea {GITEA_VERSION} from Go modules: 3 to 4 minutes on 2 cores")
    toolchain.build(_GITEA, cache.gitea, workshop)
    _copy_static(toolchain.module_directory(_GITEA), cache.gitea_static)


def _copy_static(module: Path, static: Path) -> None:
    # A copy, because Go's module cache may be emptied, and is read-only down to its directories.
    unfinished = static.with_name(f".{static.name}.{os.getpid()}")
    for name in _STATIC:
        shutil.copytree(module / name, unfinished / name, copy_function=shutil.copyfile)
    for directory, _, _ in os.walk(unfinished):
        os.chmod(directory, 0o755)
    shutil.rmtree(static, ignore_errors=True)
    unfinished.replace(static)
