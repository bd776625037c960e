"""What set-up has to do on a machine: decided before anything is touched."""

from dataclasses import dataclass
from typing import Literal

Part = Literal["packages", "engine", "go", "temporal", "agent", "image", "forge", "mcp"]


OPTIONAL: frozenset[Part] = frozenset({"mcp"})
"""Parts without which set-up is a success all the same: it says what is missing."""


@dataclass(frozen=True)
class Wanted:
    """What the caller needs beyond the runtime itself."""

    forge: bool
    postgres: bool


@dataclass(frozen=True)
class Machine:
    """What is there already, as far as set-up cares."""

    root: bool
    programs: frozenset[str]
    engine: bool
    image: bool
    go: bool
    temporal: bool
    agent: bool
    gitea: bool
    mcp: bool


@dataclass(frozen=True)
class Need:
    """Debian packages that bring one program, and why it is needed."""

    program: str
    packages: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Plan:
    needs: tuple[Need, ...]
    parts: tuple[Part, ...]

    @property
    def packages(self) -> tuple[str, ...]:
        return tuple(package for need in self.needs for package in need.packages)


GIT = Need("git", ("git", "ca-certificates"), "workers clone and push with it")
ENGINE = Need("dockerd", ("docker.io", "iptables"), "workspaces are containers and no Docker engine answers")
BOOTSTRAP = Need("debootstrap", ("debootstrap",), "it makes the workspace image")
SIGNATURES = Need("gpgv", ("gpgv",), "it checks the signatures of what the image is made of")
COMPILER = Need("gcc", ("gcc", "libc6-dev"), "the forge's SQLite is C")
POSTGRES = Need("initdb", ("postgresql",), "the tests run the records on PostgreSQL too")


def plan(machine: Machine, wanted: Wanted) -> Plan:
    forge = wanted.forge and not machine.gitea
    asked = (
        (GIT, True),
        (ENGINE, not machine.engine),
        # Without root there is no bootstrap: then the image can only come from a registry.
        (BOOTSTRAP, not machine.image and machine.root),
        (SIGNATURES, not machine.image and machine.root),
        (COMPILER, forge),
        (POSTGRES, wanted.postgres),
    )
    needs = tuple(need for need, needed in asked if needed and need.program not in machine.programs)
    go = not machine.go and not (machine.temporal and machine.agent and not forge)
    states: tuple[tuple[Part, bool], ...] = (
        ("packages", bool(needs)),
        ("engine", not machine.engine),
        ("go", go),
        ("agent", not machine.agent),
        ("temporal", not machine.temporal),
        ("image", not machine.image),
        ("forge", forge),
        ("mcp", not machine.mcp),
    )
    return Plan(needs, tuple(part for part, missing in states if missing))
