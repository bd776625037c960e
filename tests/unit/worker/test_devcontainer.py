"""`devcontainer.json` as a plan: what is served, what is named as not served, what is refused."""

import json
from typing import Any

import pytest

from protocol.errors import InvalidRequest
from protocol.workspace import ImageBuild, Unserved, WorkspacePlan
from worker.devcontainer import inside, read_devcontainer

PLACE = ".devcontainer/devcontainer.json"


def read(told: Any, path: str = PLACE) -> WorkspacePlan:
    return read_devcontainer(json.dumps(told).encode(), path, "none")


def test_an_image_with_its_environment_and_command() -> None:
    told = {
        "$schema": "x",
        "name": "demo",
        "image": "debian:12",
        "containerEnv": {"A": "1", "HERE": "${containerWorkspaceFolder}/x", "GONE": None},
        "postCreateCommand": "make deps && make",
    }
    assert read(told) == WorkspacePlan(
        image="debian:12", env={"A": "1", "HERE": "/workspace/x"}, setup=("make deps && make",)
    )


def test_a_build_is_relative_to_its_file() -> None:
    build = {"dockerfile": "Dockerfile", "context": "..", "args": {"V": "1", "N": 2}, "target": "dev"}
    assert read({"build": build}).build == ImageBuild(
        dockerfile=".devcontainer/Dockerfile", args={"V": "1", "N": "2"}, stage="dev"
    )
    assert read({"build": {"dockerfile": "Dockerfile"}}).build == ImageBuild(
        dockerfile=".devcontainer/Dockerfile", context=".devcontainer"
    )


def test_commands_come_as_a_line_as_words_and_by_name() -> None:
    one = {"image": "x", "postCreateCommand": ["npm", "ci", "--prefix", "a b"]}
    assert read(one).setup == ("npm ci --prefix 'a b'",)
    both = {"image": "x", "postCreateCommand": {"py": "pip install x", "js": ["npm", "ci"]}}
    assert read(both).setup == ("pip install x", "npm ci")


def test_what_is_not_served_is_named_with_what_was_asked() -> None:
    told = {
        "image": "x",
        "features": {"ghcr.io/devcontainers/features/node:1": {}},
        "mounts": ["source=/,target=/host,type=bind"],
        "runArgs": ["--privileged"],
        "remoteUser": "root",
        "postStartCommand": "x" * 1000,
        "containerEnv": {"TOKEN": "${localEnv:TOKEN}", "A=B": "x"},
    }
    unserved = read(told).unserved
    assert [one.name for one in unserved] == [
        "devcontainer.features",
        "devcontainer.mounts",
        "devcontainer.runArgs",
        "devcontainer.remoteUser",
        "devcontainer.postStartCommand",
        "devcontainer.containerEnv.TOKEN",
        "devcontainer.containerEnv.A=B",
    ]
    assert unserved[2] == Unserved(
        name="devcontainer.runArgs", asked='["--privileged"]', reason="it is not served in a box"
    )
    assert all(len(one.asked) <= 203 for one in unserved)
    assert read(told).env == {}
    build = {"dockerfile": "D", "options": ["--network=host"]}
    assert [one.name for one in read({"build": build}).unserved] == ["devcontainer.build.options"]


@pytest.mark.parametrize(
    "told",
    [
        [],
        {},
        {"image": ""},
        {"image": 3},
        {"build": {}},
        {"build": {"dockerfile": 3}},
        {"build": {"dockerfile": "D", "args": []}},
        {"build": {"dockerfile": "D", "target": 1}},
        {"image": "x", "containerEnv": []},
        {"image": "x", "postCreateCommand": 3},
        {"image": "x", "postCreateCommand": {"a": {"b": "c"}}},
        {"image": "x", "postCreateCommand": ["a", 1]},
    ],
)
def test_what_makes_no_sense_is_refused_with_the_file(told: Any) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read(told)
    assert (refused.value.code, PLACE in refused.value.message) == ("target.devcontainer_refused", True)


@pytest.mark.parametrize("path", ["/etc/passwd", "..", "../x", "a/../../x", "x\0y"])
def test_no_path_leads_out_of_the_repository(path: str) -> None:
    with pytest.raises(InvalidRequest):
        inside(path)


def test_a_path_is_read_from_the_root() -> None:
    assert [inside(path) for path in (".", "./a/../b", "a//b/")] == ["", "b", "a/b"]


def test_a_build_that_leads_out_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        read({"build": {"dockerfile": "../../Dockerfile"}})
    with pytest.raises(InvalidRequest):
        read({"build": {"dockerfile": "Dockerfile", "context": "../.."}})
