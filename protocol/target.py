"""Targets: where side effects happen; boxes, commands, and what comes out of them."""

from typing import Annotated, Literal

from pydantic import Field

from protocol.noun import Noun


class Command(Noun):
    """One command in a box: an argument vector, never a host shell line. Caps are bytes per stream."""

    argv: tuple[str, ...]
    cwd: str = "/workspace"
    env: dict[str, str] = {}
    stdin: bytes = b""
    timeout_ms: int = 120_000
    output_cap: int = 1_048_576


class Offsets(Noun):
    """How far the output of a command is known, in bytes per stream."""

    stdout: int = 0
    stderr: int = 0


class Output(Noun):
    stream: Literal["stdout", "stderr"]
    offset: int
    data: bytes


class Exit(Noun):
    """How a command ended. Byte counts and digests cover all that was written, kept or not."""

    exit_code: int | None
    signal: int | None
    timed_out: bool
    killed: bool
    stdout_bytes: int
    stderr_bytes: int
    stdout_digest: str
    stderr_digest: str
    duration_ms: int


class Match(Noun):
    path: str
    line: int
    text: str


class TreeCheckpoint(Noun):
    """A work tree at the end of a step: a commit of everything in it, as a git bundle."""

    commit: str
    tree: str
    bundle: bytes


class BoxLimits(Noun):
    """`disk_mb` counts inside `memory_mb`, since the work tree is a tmpfs; `pids` counts threads as well."""

    memory_mb: Annotated[int, Field(ge=64)] = 2048
    cpus: Annotated[float, Field(gt=0)] = 1.0
    pids: Annotated[int, Field(ge=64)] = 256
    disk_mb: Annotated[int, Field(ge=16)] = 1024


class BoxSpec(Noun):
    """`door` is the folder of the egress proxy's socket for this box, on the engine's machine; a box without
    one reaches nothing."""

    image: str
    limits: BoxLimits = BoxLimits()
    runtime: str = ""
    door: str = ""


class BoxPlace(Noun):
    """Where a box runs. `host` is the engine's queue name, `pool_key` what a warm box had to match."""

    container_id: str
    host: str
    image_digest: str
    pool_key: str
