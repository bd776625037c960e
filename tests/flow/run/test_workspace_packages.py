"""A project whose tests need a package of PyPI and one of npm: its set-up fetches both, through the proxy."""

import os
from collections.abc import AsyncGenerator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from protocol.workspace import SET_UP
from tests.directory_forge import ALLOWED, DirectoryForge
from tests.egress.packages import Packages
from tests.egress.proxied import HOST, Proxied, outside
from tests.stack import Event, Stack, docker, of_type
from tests.targets.clients import clients_image
from tests.temporal_server import TemporalServer

pytestmark = [pytest.mark.temporal, pytest.mark.docker, pytest.mark.asyncio(loop_scope="module")]

SCRIPT = """
[[scenarios]]
[[scenarios.turns]]
tool_calls = [{ name = "bash", arguments = { command = "python3 -m pytest -q && node --test" } }]
[[scenarios.turns]]
text = "{last_result}"
"""
SETUP = """
python3 -m pip install --quiet --target .deps --require-hashes -r requirements.txt
npm ci --no-audit --no-fund
"""
EGRESS = [{"kind": "egress", "bundle": "pypi"}, {"kind": "egress", "bundle": "npm"}]


def tables(packages: Packages) -> dict[str, str]:
    """The shipped bundles are of the open internet: these stand in their place."""
    here = f'{{ host = "{HOST}", port = {packages.port}'
    setup = ", ".join(f'"{line}"' for line in SETUP.strip().splitlines())
    return {
        "egress": f"""
{outside(packages)}
[egress.bundles]
pypi = [{here}, paths = ["/simple/**", "/files/**"] }}]
npm = [{here}, paths = ["/npm/**"] }}]
""",
        "project": f"""
[targets.project]
kind = "workspace"
dockerfile = "Dockerfile"
setup = [{setup}]
limits = {{ memory_mb = 768, disk_mb = 256 }}

[targets.project.env]
PYTHONPATH = ".deps"
PIP_INDEX_URL = "{packages.index}"
PIP_RETRIES = "0"
npm_config_registry = "{packages.registry}"
npm_config_fetch_retries = "0"
""",
    }


class Project(Proxied):
    """A stack whose server outside has packages."""

    forge: DirectoryForge
    packages: Packages


@pytest.fixture(scope="module")
def mark() -> Iterator[str]:
    """What tells this module's images from all others; they are gone afterwards."""
    marked = os.urandom(8).hex()
    yield marked
    built = docker("images", "-q", "--filter", f"label=mark={marked}").split()
    if built:
        docker("rmi", "-f", *built)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def installation(
    mark: str, temporal_server: TemporalServer, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    forge = DirectoryForge(tmp_path_factory.mktemp("forge"))
    async with (
        Packages(folder) as packages,
        Project(
            folder / "data", temporal_server, cache, SCRIPT, forges=forge.table, **tables(packages)
        ) as made,
    ):
        made.upstream = made.packages = packages
        made.forge, made.proxies = forge, []
        clients = clients_image(tmp_path_factory.mktemp("image"))
        dockerfile = {"Dockerfile": f"FROM {clients}\nLABEL mark={mark}\n"}
        made.forge.make("demo", packages.project | dockerfile)
        made.forge.make("away", packages.project | dockerfile | {"requirements.txt": "absent==1.0.0\n"})
        await made.start_proxy()
        await made.start_worker(**ALLOWED)
        yield made
        made.stop_proxies()


async def run(stack: Project, repository: str, *asked: dict[str, str]) -> list[Event]:
    target = {"kind": "workspace", "name": "project", "repo": {"remote": f"forge/{repository}"}}
    return await stack.ended(
        await stack.create("test", target=target, capabilities=[{"kind": "tool", "name": "bash"}, *asked]),
        within=120,
    )


async def test_set_up_fetches_the_packages_once_and_the_tests_of_the_project_pass(stack: Project) -> None:
    told = await run(stack, "demo", *EGRESS)
    assert told[-1]["type"] == "run.completed", told[-1]
    assert "1 passed" in told[-1]["output_text"]
    assert "pass 1" in told[-1]["output_text"]
    assert of_type(told, "tool_execution.requested")[0]["tool"] == SET_UP
    fetched = [one.target for one in stack.packages.came]
    assert {"/simple/salut/", "/npm/servus/-/servus-1.0.0.tgz"} <= set(fetched)
    assert of_type(told, "egress.denied") == []
    again = await run(stack, "demo")
    assert "1 passed" in again[-1]["output_text"]
    assert [one.target for one in stack.packages.came] == fetched


async def test_a_package_that_is_not_to_be_had_ends_the_run_with_the_words_of_its_client(
    stack: Project,
) -> None:
    told = await run(stack, "away", *EGRESS)
    assert (told[-1]["type"], told[-1]["error"]["code"]) == ("run.failed", "target.setup_failed")
    assert "absent" in told[-1]["error"]["message"]
    denied = await run(stack, "away", EGRESS[1])
    assert denied[-1]["error"]["code"] == "target.setup_failed"
    assert {one["rule"] for one in of_type(denied, "egress.denied")} == {"egress.path"}
