"""The parts of the production shape that decide something without an engine."""

from pathlib import Path

import pytest

from cli.production.images import Images, source_digest
from cli.production.place import Place
from cli.production.stack import Stack, worker_of
from cli.setup.settings import CHECKOUT
from protocol.config_text import parse_config

IMAGES = Images(rhone="r:1", temporal="t:1", postgres="p:1", forge="f:1")


def activity(state: str, identity: str) -> dict[str, object]:
    return {
        "pendingActivities": [{"state": f"PENDING_ACTIVITY_STATE_{state}", "lastWorkerIdentity": identity}]
    }


def test_the_worker_that_has_an_activity_in_hand_is_named_after_its_host() -> None:
    assert worker_of(activity("STARTED", "7@worker-2")) == "worker-2"


@pytest.mark.parametrize("told", [{}, {"pendingActivities": []}, activity("SCHEDULED", "7@worker-2")])
def test_nobody_works_on_a_run_without_a_started_activity(told: dict[str, object]) -> None:
    assert worker_of(told) is None


def test_what_changes_the_product_changes_its_image_and_a_cache_does_not(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    package = checkout / "protocol"
    package.mkdir(parents=True)
    (package / "run.py").write_text("one")
    (checkout / "pyproject.toml").write_text('[tool.hatch.build.targets.wheel]\npackages = ["protocol"]\n')
    before = source_digest(checkout)
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "run.pyc").write_text("compiled")
    assert source_digest(checkout) == before
    (package / "run.py").write_text("two")
    assert source_digest(checkout) != before


def test_the_shipped_configuration_is_one_that_rhone_takes() -> None:
    path = CHECKOUT / "images" / "config" / "rhone.toml"
    config = parse_config(path.read_text(), name=path.name)
    assert list(config.forges) == ["forge"]
    script = config.providers["scripted"].script
    assert script is not None
    assert (CHECKOUT / script.removeprefix("/opt/rhone/source/")).is_file()


def test_the_proxy_of_the_boxes_runs_where_the_configuration_has_one(tmp_path: Path) -> None:
    shipped = Place(tmp_path)
    assert "egress" in Stack(shipped, ("compose",), trial=False).command
    shipped.root.joinpath("config").mkdir(parents=True)
    shipped.config.joinpath("rhone.toml").write_text("")
    assert "egress" not in Stack(shipped, ("compose",), trial=False).command


def test_compose_is_told_every_name_that_its_file_needs(tmp_path: Path) -> None:
    needed = {part.split(":?")[0] for part in _compose_file().split("${")[1:] if ":?" in part.split("}")[0]}
    place = Place(tmp_path)
    place.home.root.mkdir(parents=True)
    place.home.installation.write_text("01abcdefgh\n")
    place.tell_compose(IMAGES, tmp_path / "cache", group=999)
    told = dict(line.split("=", 1) for line in place.compose_environment.read_text().splitlines())
    assert needed <= told.keys()
    assert told["RHONE_PROJECT"] == "rhone-abcdefgh"
    assert told["RHONE_HOME"] == str(place.root)


def test_a_configuration_of_ones_own_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    place = Place(tmp_path)
    assert place.config == CHECKOUT / "images" / "config"
    (place.root / "config").mkdir(parents=True)
    assert place.config == place.root / "config"


def _compose_file() -> str:
    return (CHECKOUT / "docker-compose.yml").read_text()
