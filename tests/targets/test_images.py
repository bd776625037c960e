"""Images from elsewhere: pulled, built without a network, and never a reason to weaken a box."""

import io
import os
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from protocol.digest import digest_bytes
from protocol.errors import TargetRefused
from protocol.target import BoxSpec
from protocol.workspace import ImageBuild, ImageRecipe
from targets.builds import BUILT, KEPT, UNUSED, Images
from targets.docker import DockerHost
from targets.engine import Engine
from targets.images import default_tag
from targets.posture import fallen
from tests.conformance.target_suite import box_id, ran
from tests.stack import docker
from tests.targets.registry import serving

pytestmark = pytest.mark.docker


@pytest.fixture(autouse=True)
def mark() -> Iterator[str]:
    """What tells this test's builds from all others; they are gone afterwards."""
    marked = os.urandom(8).hex()
    yield marked
    built = docker("images", "-q", "--filter", f"label=mark={marked}").split()
    if built:
        docker("rmi", "-f", *built)


def recipe(mark: str, *lines: str, args: dict[str, str] | None = None) -> tuple[ImageRecipe, bytes]:
    text = "\n".join(["ARG BASE", "FROM $BASE", f"LABEL mark={mark}", *lines, ""]).encode()
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as context:
        for name, data in (("Dockerfile", text), ("src/a.txt", b"from the repository\n")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            context.addfile(info, io.BytesIO(data))
    build = ImageBuild(dockerfile="Dockerfile", args={"BASE": default_tag(), **(args or {})})
    made = ImageRecipe(build=build, dockerfile_digest=digest_bytes(text), context_tree=mark)
    return made, out.getvalue()


async def test_an_image_is_built_once_of_its_content_and_without_a_network(
    host: DockerHost, spec: BoxSpec, mark: str
) -> None:
    order = recipe(
        mark,
        "ARG GREETING",
        "USER root",
        "COPY src/a.txt /opt/a.txt",
        'RUN test "$(ls /sys/class/net)" = lo && env > /opt/env && echo "$GREETING" > /opt/greeting',
        "USER agent",
        args={"GREETING": "hello"},
    )
    name = await host.build(*order)
    assert name.startswith(f"{BUILT}:")
    identity = docker("images", "-q", "--no-trunc", name)
    assert await host.build(*order) == name
    assert docker("images", "-q", "--no-trunc", name) == identity
    place = await host.create(spec.model_copy(update={"image": name}), box_id())
    assert place.image_digest == identity.strip()
    target = await host.attach(place)
    assert (await ran(target, "cat", "/opt/a.txt", "/opt/greeting")).stdout == b"from the repository\nhello\n"
    assert b"PROXY" not in (await ran(target, "cat", "/opt/env")).stdout.upper()


async def test_images_that_were_not_used_for_long_go_but_for_those_that_are_needed(mark: str) -> None:
    engine = Engine("unix:///var/run/docker.sock")
    images, stranger = Images(engine, mark), Images(engine, f"not {mark}")
    orders = [recipe(mark, f"LABEL number={number}") for number in range(KEPT + 4)]
    theirs = await stranger.built(*orders[0])
    names = [await images.built(*order) for order in orders]
    assert await images.built(*orders[0]) == names[0], "a use: it is the last one now"
    pinned = docker("images", "-q", "--no-trunc", names[1]).strip()
    box = docker("create", names[2], "true").strip()
    try:
        now = datetime.now(UTC)
        await images.collect({pinned}, now)
        assert here(mark) == {theirs, *names}, "all of them were used a moment ago"
        await images.collect({pinned}, now + 2 * UNUSED)
        assert here(mark) == {theirs, *names} - {names[3], names[4]}
    finally:
        docker("rm", box)
        engine.close()


def here(mark: str) -> set[str]:
    listed = ("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"label=mark={mark}")
    return {name for name in docker(*listed).split() if not name.startswith("<none>")}


async def test_a_build_that_fails_says_its_last_words(host: DockerHost, mark: str) -> None:
    with pytest.raises(TargetRefused) as refused:
        await host.build(*recipe(mark, "RUN echo the reason; exit 7"))
    assert refused.value.code == "target.build_failed"
    assert "the reason" in refused.value.message
    assert "7" in refused.value.message
    with pytest.raises(TargetRefused) as refused:
        await host.build(*recipe(mark, "COPY nothing /"))
    assert refused.value.code == "target.build_failed"


async def test_the_walls_stand_whatever_the_image_says(host: DockerHost, spec: BoxSpec, mark: str) -> None:
    order = recipe(
        mark,
        "USER root",
        "RUN cp /bin/bash /bin/rootsh && chmod 6755 /bin/rootsh && mkdir -p /rhone-agent-x",
        "ENV LD_PRELOAD=/tmp/evil.so HOME=/root",
        "HEALTHCHECK --interval=1s CMD echo checked > /tmp/checked",
        'ENTRYPOINT ["/bin/sh", "-c", "echo started > /tmp/started"]',
        "WORKDIR /root",
    )
    name = await host.build(*order)
    place = await host.create(spec.model_copy(update={"image": name}), box_id())
    target = await host.attach(place)
    assert fallen(await target.posture()) == ()
    assert (await ran(target, "/bin/rootsh", "-p", "-c", "id -u; ls /tmp")).stdout == b"1000\n"
    assert (
        docker("inspect", "-f", "{{json .Config.Healthcheck.Test}}", place.container_id).strip() == '["NONE"]'
    )


async def test_an_image_with_a_volume_is_refused(host: DockerHost, spec: BoxSpec, mark: str) -> None:
    name = await host.build(*recipe(mark, "VOLUME /var/lib/data"))
    with pytest.raises(TargetRefused) as refused:
        await host.create(spec.model_copy(update={"image": name}), box_id())
    assert (refused.value.code, "/var/lib/data" in refused.value.message) == ("target.image_refused", True)


async def test_an_image_that_a_registry_has_is_pulled_and_pinned(host: DockerHost, spec: BoxSpec) -> None:
    with serving({"etc/motd": b"pulled\n"}) as name:
        try:
            place = await host.create(spec.model_copy(update={"image": name}), box_id())
            target = await host.attach(place)
            assert fallen(await target.posture()) == ()
            assert place.image_digest == docker("images", "-q", "--no-trunc", name).strip()
            await host.remove(place)
        finally:
            docker("rmi", "-f", name)


@pytest.mark.parametrize("name", ["127.0.0.1:9/demo/tool:1", f"{BUILT}:none", "rhone/workspace:none"])
async def test_an_image_that_nobody_has_is_refused(host: DockerHost, spec: BoxSpec, name: str) -> None:
    with pytest.raises(TargetRefused) as refused:
        await host.create(spec.model_copy(update={"image": name}), box_id())
    assert refused.value.code == "target.image_missing"
