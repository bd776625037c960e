"""Images that come from elsewhere: pulled by name, or built of a repository without a secret and, unless it
is said otherwise, without a network."""

import asyncio
import io
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from docker.errors import APIError, ImageNotFound

from protocol.digest import digest
from protocol.errors import TargetRefused
from protocol.workspace import ImageRecipe
from targets.engine import Engine

BUILT = "rhone/built"
KEPT = 8
UNUSED = timedelta(days=1)
"""Of the built images, the `KEPT` that were used last stay, and what was used within that time."""

_AT_ONCE = 2
_SECONDS = 600.0
_SILENCE = 300
_TOLD = 2_000
_MEMORY = 4 * 1024 * 1024 * 1024


class Built(NamedTuple):
    """An image that was built here; each use puts its name on it anew, and the engine knows when."""

    name: str
    digest: str
    used_at: datetime


class Images:
    """What one engine fetches and builds for one installation, a few at once."""

    def __init__(self, engine: Engine, label: str) -> None:
        self._engine = engine
        self._label = label
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def fetched(self, name: str) -> str:
        """The digest of an image that is here, or that a registry has. Our own come from nowhere else."""
        try:
            return await self._engine.image_digest(name)
        except TargetRefused as missing:
            ours = name.startswith(("rhone/", "sha256:"))
            if missing.code != "target.image_missing" or ours:
                raise
            async with self._room:
                await self._engine.call(lambda api: _pull(api, name))
        return await self._engine.image_digest(name)

    async def built(self, recipe: ImageRecipe, context: bytes) -> str:
        """The name of the image of a recipe, built where it is not here."""
        name = f"{self._family}{digest(recipe).removeprefix('sha256:')[:24]}"
        async with self._room:
            try:
                await self._engine.image_digest(name)
            except TargetRefused as missing:
                if missing.code != "target.image_missing":
                    raise
                await self._engine.call(lambda api: _build(api, name, recipe, context))
            else:
                await self._engine.call(lambda api: _used(api, name))
        return name

    async def collect(self, needed: Collection[str], now: datetime) -> None:
        """Removes what was built and is spare; what any container is made of stays."""
        with suppress(APIError):
            there = await self._engine.call(lambda api: _built(api, self._family))
            for name in spare(there, needed, now):
                await self._engine.call(lambda api, name=name: _remove(api, name))

    @property
    def _family(self) -> str:
        """How the names of this installation's images begin: no other one removes them."""
        return f"{BUILT}:{digest(self._label).removeprefix('sha256:')[:8]}-"


def spare(there: Sequence[Built], needed: Collection[str], now: datetime) -> list[str]:
    """The names of the images that nobody needs and nobody has used for long."""
    by_use = sorted(there, key=lambda image: image.used_at, reverse=True)
    late = [image for image in by_use[KEPT:] if now - image.used_at > UNUSED]
    return [image.name for image in late if image.digest not in needed]


def _built(api: Any, family: str) -> list[Built]:
    listed = [name for image in api.images(name=BUILT) for name in image["RepoTags"] or []]
    names = [name for name in listed if name.startswith(family)]
    found: list[Built] = []
    for name in names if len(names) > KEPT else []:
        with suppress(ImageNotFound):
            image = api.inspect_image(name)
            used_at = datetime.fromisoformat(image["Metadata"]["LastTagTime"])
            found.append(Built(name, image["Id"], used_at))
    return found


def _used(api: Any, name: str) -> None:
    with suppress(APIError):
        api.tag(name, *name.split(":"))


def _remove(api: Any, name: str) -> None:
    """Without force: the engine keeps what a container is made of."""
    with suppress(APIError):
        api.remove_image(name)


def _pull(api: Any, name: str) -> None:
    """By a name without a tag the engine would fetch every one."""
    last = name.rpartition("/")[2]
    whole = name if ":" in last or "@" in last else f"{name}:latest"
    try:
        said = _last_words(api.pull(whole, stream=True, decode=True))
    except APIError as fault:
        said = str(fault.explanation or fault)
    if said is not None:
        message = f"there is no image {name!r}, and it cannot be pulled: {said}"
        raise TargetRefused("target.image_missing", message, param="image") from None


def _build(api: Any, name: str, recipe: ImageRecipe, context: bytes) -> None:
    """The engine's steps run as in any container of its own, with no more of this machine."""
    build = recipe.build
    try:
        lines = api.build(
            fileobj=io.BytesIO(context),
            custom_context=True,
            dockerfile=_inside(build.context, build.dockerfile),
            tag=name,
            buildargs=build.args,
            target=build.stage,
            network_mode=build.network,
            container_limits={"memory": _MEMORY, "memswap": _MEMORY},
            use_config_proxy=False,
            rm=True,
            forcerm=True,
            timeout=_SILENCE,
            decode=True,
        )
        said = _last_words(lines)
    except APIError as fault:
        said = str(fault.explanation or fault)
    if said is not None:
        raise TargetRefused("target.build_failed", f"{build.dockerfile}: {said}", param="target.name")


def _inside(context: str, dockerfile: str) -> str:
    return dockerfile.removeprefix(f"{context}/") if context else dockerfile


def _last_words(lines: Iterator[dict[str, Any]]) -> str | None:
    """What stood last where it went wrong; None where it did not."""
    deadline, told = time.monotonic() + _SECONDS, ""
    for line in lines:
        if "error" in line:
            return f"{told}{line['error']}"[-_TOLD:].strip()
        told = f"{told}{line.get('stream', '')}"[-_TOLD:]
        if time.monotonic() > deadline:
            return f"{told}\n[stopped: it took longer than {_SECONDS:g} s]"
    return None
