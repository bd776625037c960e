"""The Docker engine, as this product uses it: blocking calls, made in threads, with named faults."""

import asyncio
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, cast

import docker
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import LogConfig, Mount, Ulimit
from requests.exceptions import RequestException

from protocol.errors import TargetLost, TargetRefused, TargetUnavailable
from protocol.target import BoxSpec
from targets.agent import AGENT
from targets.target import ROOT

_T = TypeVar("_T")
_USER = "1000:1000"
_SECONDS = 60
_RESERVE_MB = 16
INSTALLATION = "rhone.installation"
REMOVALS = 3
DOOR = "/rhone-egress"
"""Where the folder of a box's one way out is mounted; its agent relays to the socket in it."""


class Engine:
    """One Docker engine; every call is made in a thread of its own pool."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._api: Any = None
        self._threads = ThreadPoolExecutor(max_workers=8, thread_name_prefix="docker")

    async def call(self, work: Callable[[Any], _T]) -> _T:
        """`work` with the engine's API; faults that are not answers mean that the engine is away."""

        def connected() -> _T:
            if self._api is None:
                self._api = docker.APIClient(base_url=self._url, version="auto", timeout=_SECONDS)
            return work(self._api)

        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, connected)
        except APIError:
            raise
        except (DockerException, RequestException, OSError) as fault:
            raise TargetUnavailable(
                "target.engine_away", f"the container engine does not answer: {fault}"
            ) from None

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._api is not None:
            self._api.close()

    async def info(self) -> dict[str, Any]:
        try:
            return await self.call(lambda api: api.info())
        except APIError as fault:
            raise TargetUnavailable("target.engine_away", f"the container engine fails: {fault}") from None

    async def image_digest(self, name: str) -> str:
        """Of an image that is here, and fit for a box: a volume would be a disk outside of its walls."""
        try:
            found = await self.call(lambda api: api.inspect_image(name))
        except ImageNotFound:
            raise TargetRefused(
                "target.image_missing", f"there is no image {name!r}", param="image"
            ) from None
        except APIError as fault:
            raise TargetRefused("target.image_refused", f"image {name!r}: {fault}", param="image") from None
        volumes = (found.get("Config") or {}).get("Volumes")
        if volumes:
            message = f"image {name!r} declares volumes: {', '.join(sorted(volumes))[:200]}"
            raise TargetRefused("target.image_refused", message, param="image")
        return str(found["Id"])

    async def run(self, name: str, options: dict[str, Any]) -> str:
        """The id of a started container of that name; the one that has the name already, if it is ours."""
        labels = cast(dict[str, str], options["labels"])

        def create(api: Any) -> str:
            try:
                identity = str(api.create_container(name=name, **_configured(api, options))["Id"])
            except APIError as fault:
                if fault.status_code != 409:
                    raise
                found = api.inspect_container(name)
                if found["Config"]["Labels"].get(INSTALLATION) != labels[INSTALLATION]:
                    raise
                identity = str(found["Id"])
            try:
                api.start(identity)
            except APIError:
                with suppress(APIError):
                    api.remove_container(identity, force=True)
                raise
            return identity

        try:
            return await self.call(create)
        except APIError as fault:
            raise TargetRefused("target.box_refused", f"the engine does not make the box: {fault}") from None

    async def inspect(self, container: str) -> dict[str, Any]:
        try:
            return await self.call(lambda api: api.inspect_container(container))
        except NotFound:
            raise TargetLost("target.gone", "the box is gone") from None
        except APIError as fault:
            raise TargetUnavailable("target.engine_away", f"the container engine fails: {fault}") from None

    async def rename(self, container: str, name: str) -> None:
        try:
            await self.call(lambda api: api.rename(container, name))
        except APIError as fault:
            raise TargetLost("target.gone", f"the box cannot be named: {fault}") from None

    async def remove(self, container: str) -> None:
        """Now and then the engine cannot empty a container's directory, and can when it is asked again."""
        for left in reversed(range(REMOVALS)):
            try:
                await self.call(lambda api: api.remove_container(container, force=True, v=True))
                return
            except NotFound:
                return
            except APIError as fault:
                if fault.status_code == 409:  # somebody removes it already
                    return
                if left == 0 or not fault.is_server_error():
                    raise TargetUnavailable("target.engine_away", f"a box is not removed: {fault}") from None
            await asyncio.sleep(0.2)

    async def containers(self, label: str) -> list[dict[str, Any]]:
        wanted = {"label": f"{INSTALLATION}={label}"}
        try:
            return await self.call(lambda api: api.containers(all=True, filters=wanted))
        except APIError as fault:
            raise TargetUnavailable("target.engine_away", f"the container engine fails: {fault}") from None

    async def exec_socket(self, container: str, argv: list[str]) -> socket.socket:
        """The raw connection of a started exec."""

        def start(api: Any) -> socket.socket:
            made = api.exec_create(container, argv, stdin=True, stdout=True, stderr=True)
            stream = api.exec_start(made["Id"], socket=True)
            ours = socket.socket(fileno=socket.dup(stream.fileno()))
            # The library keeps the connection open in the response that it hangs on the stream.
            stream._response.close()
            return ours

        try:
            return await self.call(start)
        except APIError as fault:
            raise TargetLost("target.gone", f"the box is gone: {fault}") from None


def options_of(
    spec: BoxSpec, *, image: str, agent: Path, labels: dict[str, str], pooled: bool
) -> dict[str, Any]:
    """The container that a box is. Everything that is not granted here is refused by the kernel."""
    limits = spec.limits
    small = max(limits.memory_mb // 8, 4)
    sizes = {ROOT: limits.disk_mb, "/spool": small, "/tmp": small, "/home/agent": small}
    if sum(sizes.values()) + _RESERVE_MB > limits.memory_mb:
        raise TargetRefused(
            "target.limits_refused",
            f"disk_mb {limits.disk_mb} and the system's folders do not fit in memory_mb {limits.memory_mb}",
            param="limits",
        )
    return {
        "image": image,
        "entrypoint": [AGENT],
        "command": ["init", "--pooled"] if pooled else ["init"],
        "user": _USER,
        "working_dir": ROOT,
        "hostname": "workspace",
        "labels": labels,
        # An image's own check would be run by the engine, as what the agent believes to be a worker.
        "healthcheck": {"test": ["NONE"]},
        "host": {
            "auto_remove": True,
            "runtime": spec.runtime or None,
            "network_mode": "none",
            "ipc_mode": "private",
            "read_only": True,
            "cap_drop": ["ALL"],
            "security_opt": ["no-new-privileges"],
            "mem_limit": limits.memory_mb * 1024 * 1024,
            "memswap_limit": limits.memory_mb * 1024 * 1024,
            "nano_cpus": int(limits.cpus * 1_000_000_000),
            "pids_limit": limits.pids,
            "shm_size": small * 1024 * 1024 // 4,
            "ulimits": [Ulimit(name="nofile", soft=4096, hard=16384), Ulimit(name="core", soft=0, hard=0)],
            "log_config": LogConfig(type="none"),
            "tmpfs": {name: _tmpfs(name, size) for name, size in sizes.items()},
            "mounts": [
                Mount(inside, outside, type="bind", read_only=True)
                for inside, outside in ((AGENT, str(agent.resolve())), (DOOR, spec.door))
                if outside
            ],
        },
    }


def _tmpfs(name: str, size_mb: int) -> str:
    run = "noexec" if name == "/spool" else "exec"
    owner = (
        "mode=1777" if name == "/tmp" else f"uid=1000,gid=1000,mode={'700' if name == '/spool' else '755'}"
    )
    return f"rw,{run},nosuid,nodev,size={size_mb}m,nr_inodes={size_mb * 256},{owner}"


def _configured(api: Any, options: dict[str, Any]) -> dict[str, Any]:
    return {
        **{name: value for name, value in options.items() if name != "host"},
        "host_config": api.create_host_config(**options["host"]),
    }
