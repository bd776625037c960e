"""The Docker engine: the one that runs, else one that set-up starts; never a second beside a first."""

import os
import subprocess
import time
from contextlib import closing
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

from cli.setup.paths import program
from cli.setup.process import Workshop, tail
from cli.setup.report import SetupFailed
from targets.engine import INSTALLATION

_PATIENCE = 60.0


def connect(timeout: float = 600) -> docker.DockerClient:
    """A client of the engine that DOCKER_HOST names, or of the local one."""
    return docker.from_env(timeout=int(timeout))


def answers() -> bool:
    try:
        client = connect(timeout=5)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, OSError):
        return False
    finally:
        client.close()


def has_image(tag: str) -> bool:
    with closing(connect()) as client:
        try:
            client.images.get(tag)
        except ImageNotFound:
            return False
    return True


def remove_boxes(installation: str) -> None:
    """All boxes of an installation, whatever runs in them."""
    with closing(connect()) as client:
        for box in client.containers.list(all=True, filters={"label": f"{INSTALLATION}={installation}"}):
            box.remove(force=True, v=True)


def start(workshop: Workshop) -> None:
    """Bring up an engine where none answers, and wait until it does."""
    if answers():
        return
    if os.geteuid() != 0:
        raise SetupFailed(
            workshop.part,
            "no Docker engine answers this user; start one, or join its group, or run set-up as root",
        )
    if _is_running():
        workshop.say("an engine is starting already: waiting for it")
        _wait(workshop, None)
    elif Path("/run/systemd/system").is_dir():
        workshop.say("starting the engine with systemd")
        workshop.run(["systemctl", "start", "docker"])
        _wait(workshop, None)
    else:
        _start_detached(workshop)


def _start_detached(workshop: Workshop) -> None:
    dockerd = program("dockerd")
    if dockerd is None:
        raise SetupFailed(
            workshop.part, "no Docker engine answers and none is installed; DOCKER_HOST may be wrong"
        )
    workshop.say(f"starting dockerd because no engine answers; its log is {workshop.log}")
    with workshop.open_log() as log:
        process = subprocess.Popen(
            [dockerd], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd="/"
        )
    _wait(workshop, process)


def _wait(workshop: Workshop, process: subprocess.Popen[bytes] | None) -> None:
    deadline = time.monotonic() + _PATIENCE
    while not answers():
        # Installing the package may have started one in the meantime: then ours ends, and that one answers.
        ended = process is not None and process.poll() is not None and not _is_running()
        if ended or time.monotonic() > deadline:
            told = f"; the end of {workshop.log}:\n{tail(workshop.log)}" if workshop.log.exists() else ""
            raise SetupFailed(
                workshop.part, f"the Docker engine {'ended' if ended else 'does not answer'}{told}"
            )
        time.sleep(0.2)


def _is_running() -> bool:
    """Whether a dockerd of this machine lives, though it may not answer yet, or not here."""
    for name in Path("/proc").glob("[0-9]*/comm"):
        try:
            if name.read_text().strip() == "dockerd":
                return True
        except OSError:
            continue
    return False
