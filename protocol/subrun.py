"""Subruns: runs that a run starts, with less than it has itself."""

from typing import Annotated

from pydantic import Field

from protocol.ids import RunId, SnapshotId
from protocol.noun import Noun


class SubrunLimits(Noun):
    """How a run may spawn: `depth` levels of runs below it, and so many children of its own at once."""

    depth: int
    fan_out: int


class ParentSnapshot(Noun):
    """The authority that a subrun's own is a part of."""

    run_id: RunId
    snapshot_id: SnapshotId
    digest: str


class SubrunsEntry(Noun):
    """What runs without a parent are given; with a depth of 0 no run spawns another."""

    max_depth: Annotated[int, Field(ge=0, le=8)] = 3
    fan_out: Annotated[int, Field(ge=1, le=64)] = 8
