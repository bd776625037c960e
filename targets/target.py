"""A target is where side effects happen; a host is the engine that makes targets."""

from collections.abc import AsyncIterator, Collection, Sequence
from typing import Protocol

from protocol.ids import BoxId, ToolExecutionId
from protocol.noun import JSON
from protocol.target import BoxPlace, BoxSpec, Command, Exit, Match, Offsets, Output, TreeCheckpoint
from protocol.workspace import ImageRecipe

ROOT = "/workspace"


class Target(Protocol):
    """A work tree with commands. Paths are relative to `/workspace` or under it.

    Every method raises `TargetLost` when the box is gone or what answers is not our agent, and
    `TargetUnavailable` when the engine does not answer.
    """

    async def start(self, execution: ToolExecutionId, command: Command) -> None:
        """Starts the command once: an id that exists, or existed, changes nothing."""
        ...

    def follow(self, execution: ToolExecutionId, offsets: Offsets) -> AsyncIterator[Output | Exit]:
        """What the command wrote from `offsets` on, live; the last item is its one `Exit`."""
        ...

    async def kill(self, execution: ToolExecutionId) -> None:
        """Returns when the command and all that descends from it are gone; idempotent."""
        ...

    async def forget(self, execution: ToolExecutionId) -> None:
        """Drops the kept output of a finished command; its id stays taken."""
        ...

    async def read(self, path: str, *, limit: int) -> bytes:
        """The first `limit` bytes of a file."""
        ...

    async def write(self, path: str, content: bytes) -> None:
        """Replaces or creates a file whole, with its parents; a file that exists keeps its mode."""
        ...

    async def glob(self, pattern: str, *, limit: int) -> tuple[str, ...]:
        """Files by a pattern over their whole path (`**` crosses folders), sorted, never in `.git`."""
        ...

    async def grep(self, pattern: str, *, path: str, glob: str, limit: int) -> tuple[Match, ...]:
        """Lines of text files by an RE2 expression; a `glob` without a slash matches file names."""
        ...

    async def seed(self, bundle: bytes, *, commit: str, branch: str) -> None:
        """Turns the empty work tree into a repository at `commit` on `branch`, without a remote."""
        ...

    async def checkpoint(self, *, since: str | None) -> TreeCheckpoint | None:
        """All that is not ignored, the index and the branches, as a bundle over `since`.

        `since` is an earlier checkpoint or the seeded commit; `None` makes the bundle self-contained.
        The answer is `None` when nothing changed since that checkpoint.
        """
        ...

    async def restore(self, bundles: Sequence[bytes], *, commit: str, branch: str) -> None:
        """Rebuilds an empty box as it was at checkpoint `commit`, from the seed's bundle on, in order.

        A `commit` that is not a checkpoint is put on `branch` as `seed` does.
        """
        ...

    async def head(self) -> str | None:
        """The commit that is checked out, if there is one."""
        ...

    async def take_bundle(self, *, base: str, ref: str, limit: int) -> bytes:
        """The commits of `base..ref` as a bundle that names `refs/heads/<branch>`."""
        ...

    async def pack(self, *, limit: int) -> bytes | None:
        """What git does not track in the work tree, and the home folder, as a compressed tar. None where that
        is more than `limit`, or tracked files are not as they were committed."""
        ...

    async def unpack(self, packed: bytes) -> None:
        """What `pack` gave, beside what is there: no file that exists is replaced."""
        ...

    async def posture(self) -> dict[str, JSON]:
        """What a probe finds from inside: each of the 25 checks by name."""
        ...

    async def close(self) -> None:
        """Ends this process's attachment; the box and its commands go on."""
        ...


class Host(Protocol):
    """One engine that runs boxes."""

    @property
    def name(self) -> str: ...

    async def create(self, spec: BoxSpec, box: BoxId) -> BoxPlace:
        """A running box, warm where one fits."""
        ...

    async def build(self, recipe: ImageRecipe, context: bytes) -> str:
        """The name of the image that a recipe and its context, a tar, make; built once."""
        ...

    async def collect(self, needed: Collection[str]) -> None:
        """Removes images that were built and that nobody used for long, but not those whose digests are
        `needed`, and none that a box has."""
        ...

    async def attach(self, place: BoxPlace) -> Target: ...

    async def inspect(self, place: BoxPlace) -> dict[str, JSON]:
        """The engine's own words about a box, for evidence."""
        ...

    async def remove(self, place: BoxPlace) -> None:
        """Idempotent."""
        ...

    async def boxes(self) -> tuple[tuple[BoxId | None, str], ...]:
        """Every container of this installation: its box, `None` for an idle warm one, and its id.

        An idle warm one ends by itself when the worker that made it is gone: it is nobody's orphan.
        """
        ...

    async def check(self) -> None:
        """Raises `TargetUnavailable` when the engine is away or too weak to confine anything."""
        ...
