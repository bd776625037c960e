"""Boxes on a Docker engine."""

import asyncio
import json
import os
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from protocol.digest import digest, digest_bytes
from protocol.errors import TargetLost, TargetUnavailable, Unavailable
from protocol.ids import BoxId, is_id
from protocol.noun import JSON
from protocol.target import BoxPlace, BoxSpec
from protocol.workspace import ImageRecipe
from targets.agent import AGENT, AgentTarget
from targets.builds import Images
from targets.engine import INSTALLATION, Engine, options_of
from targets.frames import Attachment, AttachmentLost, Misbehaved
from targets.pool import QUIET_SECONDS, Member, Pool

_PREFIX = "rhone-"
_POOLED = "rhone-pool-"
_IMAGE_SECONDS = 10.0
_CHECK_SECONDS = 5.0
_ATTACH_SECONDS = 10.0
_KINDS_REMEMBERED = 16


class DockerHost:
    """One Docker engine and the boxes of one installation on it.

    A handed-out warm box costs no round trip: its attachment is open already, and it gets its name, and
    the word that it is claimed, a moment later. Unclaimed, it ends by itself 30 s after its worker.
    """

    def __init__(
        self, agent: Path, *, pool_size: int, label: str, engine: str = "unix:///var/run/docker.sock"
    ) -> None:
        self._agent = agent
        self._label = label
        self._engine = Engine(engine)
        self._stock = Images(self._engine, label)
        self._name: str | None = None
        self._agent_digest = ""
        self._checked_at = -_CHECK_SECONDS
        self._images: dict[str, tuple[float, str]] = {}
        self._kinds: dict[str, tuple[BoxSpec, str]] = {}
        self._attachments: dict[str, asyncio.Future[Attachment]] = {}
        self._handed_out: dict[str, BoxId] = {}
        self._background: set[asyncio.Task[None]] = set()
        self._pool = Pool(pool_size, make=self._make, discard=self._discard)

    @property
    def name(self) -> str:
        """The queue of this engine, known after the first `check` or `create`."""
        if self._name is None:
            raise TargetUnavailable("target.engine_away", "the container engine was not asked yet")
        return self._name

    @property
    def pool(self) -> Pool:
        return self._pool

    async def check(self) -> None:
        """Asks at most every few seconds: what the engine is does not change, and its end cuts the pool."""
        now = asyncio.get_running_loop().time()
        if now - self._checked_at >= _CHECK_SECONDS:
            await self._check()
            self._checked_at = now

    async def _check(self) -> None:
        info = await self._engine.info()
        if not any("name=seccomp" in option for option in info.get("SecurityOptions") or []):
            raise TargetUnavailable("target.engine_weak", "the container engine has no seccomp")
        if info.get("OSType") != "linux":
            raise TargetUnavailable("target.engine_weak", "the container engine does not run Linux")
        try:
            self._agent_digest = self._agent_digest or digest_bytes(self._agent.read_bytes())
        except OSError:
            raise TargetUnavailable(
                "target.agent_missing", "the agent of the boxes is not built; run set-up"
            ) from None
        self._name = "host-" + str(info["ID"]).replace(":", "").lower()

    async def create(self, spec: BoxSpec, box: BoxId) -> BoxPlace:
        key, image = await self._kind(spec)
        for container, known in self._handed_out.items():
            if known == box:
                return self._place(container, image, key)
        member = None if spec.door else self._pool.take(key)
        if member is not None:
            self._handed_out[member.container] = box
            self._attachments[member.container] = _done(member.attachment)
            self._later(self._settle(member, box))
            return self._place(member.container, image, key)
        labels = {INSTALLATION: self._label, "rhone.box": box}
        options = options_of(spec, image=image, agent=self._agent, labels=labels, pooled=False)
        return self._place(await self._engine.run(_PREFIX + box, options), image, key)

    async def apart(self, spec: BoxSpec) -> tuple[BoxPlace, Attachment]:
        """A box beside those of runs, made for this one caller: like a warm one that nobody has claimed, it
        ends by itself when its worker is gone, and is nobody's orphan."""
        key, image = await self._kind(spec)
        member = await self._make(key)
        return self._place(member.container, image, key), member.attachment

    async def build(self, recipe: ImageRecipe, context: bytes) -> str:
        return await self._stock.built(recipe, context)

    async def collect(self, needed: Collection[str]) -> None:
        await self._stock.collect(needed, datetime.now(UTC))

    async def warm(self, spec: BoxSpec) -> None:
        """Begins to make boxes of this kind ready."""
        key, _ = await self._kind(spec)
        self._pool.want(key)

    async def attach(self, place: BoxPlace) -> AgentTarget:
        container = place.container_id

        async def attached() -> Attachment:
            return await self._attachment(container)

        async def condemn() -> None:
            await self._forget(container)
            with suppress(Unavailable):
                await self._engine.remove(container)

        async def detach() -> None:
            await self._forget(container)

        target = AgentTarget(attached, condemn=condemn, detach=detach)
        if container not in self._handed_out:
            # Perhaps a box that another worker took out of its pool, and the claim died with that worker.
            await target.claim()
        return target

    async def inspect(self, place: BoxPlace) -> dict[str, JSON]:
        found = await self._engine.inspect(place.container_id)
        config, host = found["Config"], found["HostConfig"]
        evidence = {
            "container_id": found["Id"],
            "image_digest": found["Image"],
            "started_at": found["State"]["StartedAt"],
            "user": config["User"],
            "entrypoint": [*config["Entrypoint"], *(config["Cmd"] or [])],
            "mounts": [
                {"destination": mount["Destination"], "writable": mount["RW"]} for mount in found["Mounts"]
            ],
            **{
                name: host[name]
                for name in (
                    *("CapAdd", "CapDrop", "SecurityOpt", "Privileged", "ReadonlyRootfs", "NetworkMode"),
                    *("IpcMode", "PidMode", "UsernsMode", "Runtime", "Memory", "MemorySwap", "NanoCpus"),
                    *("PidsLimit", "Ulimits", "Tmpfs", "Devices", "MaskedPaths", "ReadonlyPaths"),
                )
            },
        }
        return cast(dict[str, JSON], json.loads(json.dumps(evidence)))

    async def remove(self, place: BoxPlace) -> None:
        await self._forget(place.container_id)
        self._handed_out.pop(place.container_id, None)
        await self._engine.remove(place.container_id)

    async def boxes(self) -> tuple[tuple[BoxId | None, str], ...]:
        found: list[tuple[BoxId | None, str]] = []
        for container in await self._engine.containers(self._label):
            named = next((name[1:] for name in container["Names"] or [] if name.startswith("/")), "")
            box = named.removeprefix(_PREFIX)
            known = self._handed_out.get(container["Id"])
            found.append((known or (BoxId(box) if is_id("box_", box) else None), container["Id"]))
        return tuple(found)

    async def close(self) -> None:
        """Drains the pool and lets go of every box; the boxes that were handed out go on."""
        if self._background:
            await asyncio.wait(self._background)
        await self._pool.close()
        for container in list(self._attachments):
            await self._forget(container)
        self._engine.close()

    async def _kind(self, spec: BoxSpec) -> tuple[str, str]:
        """The key under which warm boxes of this kind wait, and the digest of their image."""
        if self._name is None:
            await self.check()
        now = asyncio.get_running_loop().time()
        at, image = self._images.get(spec.image, (-_IMAGE_SECONDS, ""))
        if now - at >= _IMAGE_SECONDS:
            image = await self._stock.fetched(spec.image)
            self._images[spec.image] = (now, image)
        wanted = [image, spec.limits.model_dump(), spec.runtime, self._agent_digest]
        key = digest(wanted)
        self._kinds[key] = (spec.model_copy(update={"door": ""}), image)
        while len(self._kinds) > _KINDS_REMEMBERED:
            del self._kinds[next(iter(self._kinds))]
        return key, image

    def _place(self, container: str, image: str, key: str) -> BoxPlace:
        return BoxPlace(container_id=container, host=self.name, image_digest=image, pool_key=key)

    async def _attachment(self, container: str) -> Attachment:
        """The one attachment of this worker to a box, made once for all who ask at the same time."""
        making = self._attachments.get(container)
        if making is None or (making.done() and _failed(making)):
            making = asyncio.get_running_loop().create_task(self._open(container))
            self._attachments[container] = making
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            if not making.cancelled():
                raise
            raise TargetUnavailable(
                "target.detached", "the attachment was let go while it was made"
            ) from None

    async def _open(self, container: str) -> Attachment:
        """A box at its process limit takes no exec for a while; one that is gone never will."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + _ATTACH_SECONDS
        while True:
            sock = await self._engine.exec_socket(container, [AGENT, "attach"])
            try:
                return await Attachment.over(sock)
            except AttachmentLost as fault:
                if loop.time() > deadline:
                    raise TargetLost("target.unreachable", f"the box takes no attachment: {fault}") from None
                await asyncio.sleep(0.1)
            except Misbehaved as fault:
                await self._engine.remove(container)
                raise TargetLost("target.misbehaved", f"the box's agent misbehaved: {fault}") from None

    async def _forget(self, container: str) -> None:
        making = self._attachments.pop(container, None)
        if making is None:
            return
        making.cancel()
        await asyncio.wait([making])
        if not making.cancelled() and making.exception() is None:
            making.result().close()

    async def _make(self, key: str) -> Member:
        spec, image = self._kinds[key]
        labels = {INSTALLATION: self._label, "rhone.pool": key}
        options = options_of(spec, image=image, agent=self._agent, labels=labels, pooled=True)
        container = await self._engine.run(_POOLED + os.urandom(8).hex(), options)
        try:
            return Member(container, await self._open(container))
        except asyncio.CancelledError:
            await asyncio.shield(self._engine.remove(container))
            raise

    async def _discard(self, member: Member) -> None:
        member.attachment.close()
        with suppress(Unavailable):
            await self._engine.remove(member.container)

    async def _settle(self, member: Member, box: BoxId) -> None:
        """Name first, then claim: a claimed box can always be told whose it is."""
        await asyncio.sleep(QUIET_SECONDS)
        with suppress(TargetLost, Unavailable, AttachmentLost, Misbehaved):
            await self._engine.rename(member.container, _PREFIX + box)
            await (await self._attachment(member.container)).last("claim")

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)


def _done(attachment: Attachment) -> asyncio.Future[Attachment]:
    known: asyncio.Future[Attachment] = asyncio.get_running_loop().create_future()
    known.set_result(attachment)
    return known


def _failed(making: asyncio.Future[Attachment]) -> bool:
    return making.cancelled() or making.exception() is not None or making.result().lost
