"""Looking into the saved work tree of a run: what came out of its box, unpacked in a throw-away repository
under the same rules as a push, and never checked out."""

import tempfile
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from protocol.errors import NotFound, TargetRefused
from targets.forge.bundle import read_bundle
from targets.forge.git import Git, GitFailed, GitTooLarge
from targets.forge.mirror import Mirror
from targets.forge.render import diff_of

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
FILE_LIMIT = 8 * 1024 * 1024
_INPUT_LIMIT = 512 * 1024 * 1024


class Trees:
    """Reads saved trees; `mirror` lends the objects of the repository that the run was seeded from."""

    def __init__(self, git: Git, directory: Path) -> None:
        self._git = git
        self._directory = directory

    async def diff(
        self, bundles: Sequence[bytes], commit: str, *, base: str | None, mirror: Mirror | None
    ) -> bytes:
        """From the base commit (or from nothing) to the tree, rendered as a push is."""
        async with self._opened(bundles, mirror) as repository:
            try:
                return await diff_of(self._git, repository, base or EMPTY_TREE, commit)
            except GitFailed as failed:
                raise TargetRefused("run.diff_unavailable", failed.text) from failed

    async def file(self, bundles: Sequence[bytes], commit: str, path: str, *, mirror: Mirror | None) -> bytes:
        """The bytes of one file of the tree; a link is shown as where it points, and never followed."""
        if "\0" in path:
            raise NotFound("target.not_found", f"there is no file {path!r}", param="path")
        name = f"{commit}:{path.removeprefix('/workspace/').lstrip('/')}"
        async with self._opened(bundles, mirror) as repository:
            try:
                size = int(await self._git.run("cat-file", "-s", name, directory=repository))
                if size > FILE_LIMIT:
                    message = f"{path} has {size} bytes, the limit is {FILE_LIMIT}"
                    raise TargetRefused("target.file_too_large", message, param="path")
                return await self._git.run("cat-file", "blob", name, directory=repository)
            except GitFailed as failed:
                raise NotFound("target.not_found", f"there is no file {path!r}", param="path") from failed

    @asynccontextmanager
    async def _opened(self, bundles: Sequence[bytes], mirror: Mirror | None) -> AsyncGenerator[Path]:
        self._directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=self._directory, prefix="tree-") as name:
            repository = Path(name) / "objects.git"
            await self._git.run("init", "-q", "--bare", "--template=", str(repository))
            if mirror is not None:
                alternates = repository / "objects" / "info" / "alternates"
                alternates.parent.mkdir(exist_ok=True)
                alternates.write_text(f"{mirror.directory.resolve() / 'objects'}\n")
            try:
                for bundle in bundles:
                    flags = ("--stdin", "--fix-thin", "--strict", f"--max-input-size={_INPUT_LIMIT}")
                    pack = read_bundle(bundle).pack
                    await self._git.run("index-pack", *flags, directory=repository, stdin=pack)
            except (GitFailed, GitTooLarge) as failed:
                raise TargetRefused("run.diff_unavailable", failed.text) from failed
            yield repository
