"""A worker's own bare copy of one repository: it only grows, so what others borrow from it stays."""

import asyncio
import fcntl
import re
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from protocol.errors import InvalidRequest, NotFound, Unavailable
from targets.forge.faults import REMOTE, branch_not_found, clone_fault
from targets.forge.git import Git, GitFailed, Remote

FILE_LIMIT = 256 * 1024
_PACKS = 40
_LOCK_POLL = 0.02
_LOCK_WITHIN = 300.0

_COMMIT = re.compile(r"[0-9a-f]{40}")
_NAMES_NOTHING = (
    "couldn't find remote ref",
    "invalid refspec",
    "not our ref",
    "unadvertised object",
    "Needed a single revision",
)


class Mirror:
    """The mirror of `repository` at `directory`; any number of workers on a machine may share it."""

    def __init__(
        self, git: Git, remote: Remote, directory: Path, repository: str, packs: int = _PACKS
    ) -> None:
        self._git = git
        self._remote = remote
        self.directory = directory
        self.repository = repository
        self._packs = packs

    async def fetch(self, base_branch: str) -> str:
        """Bring the mirror up to date with one branch, whole history; the commit it is at."""
        commit = await self._bring(f"refs/heads/{base_branch}")
        if commit is None:
            raise branch_not_found(self.repository, base_branch)
        return commit

    async def fetch_named(self, name: str) -> str:
        """The commit of a tag, or of a branch where no tag has this name, or one that is named by its id."""
        if _COMMIT.fullmatch(name):
            commit = name if await self.has(name) else await self._bring(name)
        else:
            commit = await self._bring(f"refs/tags/{name}") or await self._bring(f"refs/heads/{name}")
        if commit is None:
            message = f"{self.repository} has no tag, branch or commit {name!r}"
            raise NotFound("git.reference_not_found", message, param="ref")
        return commit

    async def _bring(self, ref: str) -> str | None:
        """Have what a reference, or a commit's own id, names on the forge: its commit; None where it names
        nothing there."""
        kept = f"refs/commits/{ref}" if _COMMIT.fullmatch(ref) else ref
        if any(character in ref for character in "*:^~ "):
            return None
        try:
            async with self._locked() as lock:
                await self._make()
                await self._fetch(f"+{ref}:{kept}", lock)
                await self._join_packs(lock)
                return (await self._read("rev-parse", "--verify", f"{kept}^{{commit}}")).strip()
        except GitFailed as failed:
            if any(sign in failed.text for sign in _NAMES_NOTHING):
                return None
            raise clone_fault(self.repository, failed) from failed

    async def require(self, commit: str, base_branch: str) -> None:
        """See to it that `commit` is here: another worker's mirror may have been the one that fetched it."""
        if await self.has(commit):
            return
        await self.fetch(base_branch)
        if not await self.has(commit):
            message = f"{self.repository} does not have {commit} on {base_branch!r} any more"
            raise InvalidRequest("git.clone_failed", message, param=REMOTE)

    async def has(self, commit: str) -> bool:
        if not self.directory.exists():
            return False
        try:
            await self._read("cat-file", "-e", f"{commit}^{{commit}}")
        except GitFailed:
            return False
        return True

    async def holds(self, branch: str, commit: str) -> bool:
        """Whether the forge's branch is at `commit` or has grown from it."""
        head = await self.fetch(branch)
        try:
            await self._read("merge-base", "--is-ancestor", commit, head)
        except GitFailed:
            return False
        return True

    async def bundle_for(self, commit: str, branch: str) -> bytes:
        """A git bundle of `commit` with all its history, under the name of `branch`."""
        # `git bundle` packs refs, and ours may have moved on; its format is this header before a pack.
        header = f"# v2 git bundle\n{commit} refs/heads/{branch}\n\n".encode()
        try:
            options = ("--revs", "--stdout", "--delta-base-offset", "-q")
            pack = await self._git.run(
                "pack-objects", *options, directory=self.directory, stdin=f"{commit}\n".encode()
            )
        except GitFailed as failed:
            raise clone_fault(self.repository, failed) from failed
        return header + pack

    async def file(self, commit: str, path: str) -> bytes | None:
        """A file of a commit, a link as where it points; None where there is none of at most FILE_LIMIT."""
        try:
            if int(await self._read("cat-file", "-s", f"{commit}:{path}")) > FILE_LIMIT:
                return None
            return await self._git.run("cat-file", "blob", f"{commit}:{path}", directory=self.directory)
        except GitFailed:
            return None

    async def folder(self, commit: str, path: str) -> str | None:
        """The id of the tree that a folder of a commit is."""
        try:
            found = (await self._read("rev-parse", "--verify", "-q", f"{commit}:{path}")).strip()
            return found if (await self._read("cat-file", "-t", found)).strip() == "tree" else None
        except GitFailed:
            return None

    async def archive(self, tree: str) -> bytes:
        """The files of a tree as a tar."""
        return await self._git.run("archive", "--format=tar", tree, directory=self.directory)

    async def branch_head(self, branch: str) -> str | None:
        """The commit that the forge has for a branch right now."""
        ref = f"refs/heads/{branch}"
        try:
            listed = await self._git.run("ls-remote", "--refs", self._remote.url, ref, remote=self._remote)
        except GitFailed as failed:
            raise clone_fault(self.repository, failed) from failed
        # A pattern also matches the tails of longer names.
        lines = (line.partition("\t") for line in listed.decode().splitlines())
        return next((commit for commit, _, name in lines if name == ref), None)

    async def _make(self) -> None:
        if self.directory.exists():
            self._tidy()
            return
        unfinished = self.directory.with_suffix(".new")
        await self._git.run("init", "-q", "--bare", "--template=", str(unfinished))
        unfinished.rename(self.directory)

    def _tidy(self) -> None:
        """Remove what a killed git left half-written; whoever holds the lock is the only writer."""
        left = [*self.directory.glob("*.lock"), *self.directory.glob("refs/**/*.lock")]
        for path in [*left, *self.directory.glob("objects/pack/tmp_*")]:
            path.unlink()

    async def _fetch(self, refspec: str, lock: int) -> None:
        flags = ("-q", "--no-tags", "--no-write-fetch-head", "--no-auto-maintenance")
        await self._git.run(
            *("fetch", *flags, self._remote.url, refspec),
            directory=self.directory,
            remote=self._remote,
            holding=(lock,),
        )

    async def _join_packs(self, lock: int) -> None:
        """Each fetch adds a pack; joined now and then, with every object that any of them has."""
        if len([*self.directory.glob("objects/pack/*.pack")]) > self._packs:
            flags = ("-q", "-d", "--geometric=2")
            await self._git.run("repack", *flags, directory=self.directory, holding=(lock,))

    async def _read(self, *arguments: str) -> str:
        return (await self._git.run(*arguments, directory=self.directory)).decode()

    @asynccontextmanager
    async def _locked(self) -> AsyncGenerator[int]:
        """One writer at a time, over all processes; a git that outlives its worker still holds the lock."""
        self.directory.parent.mkdir(parents=True, exist_ok=True)
        deadline = time.monotonic() + _LOCK_WITHIN
        with self.directory.with_suffix(".lock").open("w") as file:
            while not _try_lock(file.fileno()):
                if time.monotonic() > deadline:
                    message = f"another worker still fetches {self.repository}"
                    raise Unavailable("git.clone_failed", message, param=REMOTE)
                await asyncio.sleep(_LOCK_POLL)
            yield file.fileno()


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
