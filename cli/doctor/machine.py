"""The machine: programs, the container engine, disk, ports."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docker.errors import DockerException
from requests.exceptions import RequestException

from cli.doctor.check import Check, good, missing, weak
from cli.home import Home
from cli.ports import is_free
from cli.setup import engine
from cli.setup.paths import program, temporal_binary
from targets.agent_binary import agent_path
from targets.images import resolve_image

_RUNC = (1, 2, 8)
"""The first runc of its line without the escapes of November 2025 (CVE-2025-31133, -52565, -52881)."""

_GIB = 1 << 30


def look(home: Home, cache: Path, images: set[str]) -> Iterator[Check]:
    yield from _programs(home, cache)
    yield from _engine(images)
    yield _disk(home)
    yield _port(home)


def _programs(home: Home, cache: Path) -> Iterator[Check]:
    git = program("git")
    yield good("git", str(git)) if git else missing("git", "not found", "rhone setup, or apt-get install git")
    temporal = temporal_binary(home.root / "cache", cache)
    if temporal is None:
        yield missing("Temporal server", "not found", "rhone setup, or set RHONE_TEMPORAL_BIN")
    else:
        told = _version(temporal)
        broken = missing("Temporal server", f"{temporal} does not run", "remove it, then rhone setup")
        yield good("Temporal server", f"{temporal}, {told}") if told else broken
    agent = agent_path(cache)
    built = good("agent of the boxes", str(agent))
    yield built if agent.exists() else missing("agent of the boxes", "not built", "rhone setup")


def _version(binary: Path) -> str | None:
    try:
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _engine(images: set[str]) -> Iterator[Check]:
    mend = "rhone setup as root, or start Docker and let this user use it"
    try:
        client = engine.connect(timeout=10)
    except DockerException:
        yield missing("container engine", "none answers", mend)
        return
    try:
        info: dict[str, Any] = client.info()
        parts: list[dict[str, Any]] = client.version().get("Components") or []
    except (DockerException, RequestException):
        yield missing("container engine", "none answers", mend)
        return
    finally:
        client.close()
    yield good("container engine", f"Docker {info['ServerVersion']}, {info['Driver']}")
    yield from confinement(info)
    yield from runc(next((part["Version"] for part in parts if part["Name"] == "runc"), ""))
    for image in sorted(images):
        there = engine.has_image(resolve_image(image))
        told = f"{image} ({resolve_image(image)})"
        yield good("image", told) if there else missing("image", f"{told} is not there", "rhone setup")


def confinement(info: dict[str, Any]) -> Iterator[Check]:
    if any("name=seccomp" in option for option in info.get("SecurityOptions") or []):
        yield good("seccomp", "on")
    else:
        yield missing("seccomp", "off: no box is made", "use a kernel and an engine with seccomp")
    limits = {"memory": "MemoryLimit", "processes": "PidsLimit", "processor": "CpuCfsQuota"}
    off = [name for name, key in limits.items() if not info.get(key)]
    if off:
        yield weak("limits of boxes", f"no limit of {', '.join(off)}", "enable these cgroup controllers")
    else:
        yield good("limits of boxes", "memory, processes and processor")


def runc(version: str) -> Iterator[Check]:
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if not numbers:
        return
    if numbers >= _RUNC:
        yield good("runc", version)
        return
    text = (
        f"{version} is older than {'.'.join(map(str, _RUNC))}: boxes can be escaped where it is not patched"
    )
    yield weak("runc", text, "update runc, or set `runtime` of the target to a stronger one")


def _disk(home: Home) -> Check:
    place = home.root
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    text = f"{free / _GIB:.1f} GiB free under {place}"
    if free < _GIB // 4:
        return missing("disk", text, "make room: nothing is acknowledged that cannot be written")
    return weak("disk", text, "make room") if free < 2 * _GIB else good("disk", text)


def _port(home: Home) -> Check:
    port = int(home.read_place().get("port", 8080))
    if home.address.exists():
        return good("port", f"rhone up answers at {home.address.read_text().strip()}")
    if not is_free(port):
        return weak("port", f"{port} is taken by somebody else", "rhone up --port 0 takes a free one")
    return good("port", f"{port} is free")
