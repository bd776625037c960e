"""Where the objects of a push are looked at before anything moves: a throw-away repository per look.

What came out of a box is hostile. It enters as bytes, is unpacked with every check that git has, borrows
the mirror's objects and never writes there, and is measured against the grant.
"""

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from protocol.capability import RepositoryGrant
from protocol.digest import digest_bytes
from protocol.errors import Conflict
from protocol.forge import Examined, LeaseLost, PreparedPush, Pushed, PushResult
from protocol.noun import Noun
from targets.forge.bundle import Bundle, read_bundle
from targets.forge.faults import last_line, push_fault, refused_push
from targets.forge.git import Git, GitFailed, GitTooLarge, Remote
from targets.forge.mirror import Mirror
from targets.forge.render import commits_of, diff_of

_STALE_SECONDS = 3600


class PushLimits(Noun):
    """Bytes of a bundle, and of its diff: larger ones are for people to push, not for people to approve."""

    bundle: int = 64 * 1024 * 1024
    diff: int = 16 * 1024 * 1024


class Quarantine:
    """Prepares and redeems the pushes of one repository."""

    def __init__(self, git: Git, remote: Remote, mirror: Mirror, directory: Path, limits: PushLimits) -> None:
        self._git = git
        self._remote = remote
        self._mirror = mirror
        self._directory = directory
        self._limits = limits

    async def prepare(self, grant: RepositoryGrant, bundle: bytes) -> Examined:
        """What the bundle would move, measured against the grant and rendered; changes nothing anywhere."""
        ref = f"refs/heads/{grant.branch}"
        if not bundle:
            raise _nothing_to_push(grant.branch)
        if len(bundle) > self._limits.bundle:
            raise refused_push("push_too_large", f"the push has more than {self._limits.bundle} bytes")
        parsed = read_bundle(bundle)
        new = _only_head(parsed, ref)
        if new == grant.base_commit:
            raise _nothing_to_push(grant.branch)
        await self._mirror.require(grant.base_commit, grant.base_branch)
        expected_old = await self._mirror.branch_head(grant.branch)
        async with self._unpacked(parsed, new) as repository:
            await self._measure(repository, grant, new, expected_old)
            try:
                diff = await diff_of(self._git, repository, grant.base_commit, new)
                commits = await commits_of(self._git, repository, grant.base_commit, new)
            except GitFailed as failed:
                raise refused_push("bundle_refused", f"no diff can be made: {failed.text}") from failed
        if len(diff) > self._limits.diff:
            raise refused_push("push_too_large", f"the diff has more than {self._limits.diff} bytes")
        push = PreparedPush(
            repository=self._mirror.repository,
            ref=ref,
            expected_old=expected_old,
            new=new,
            base=grant.base_commit,
            diff_digest=digest_bytes(diff),
            base_branch=grant.base_branch,
            bundle_digest=digest_bytes(bundle),
            commits=commits,
        )
        return Examined(push=push, diff=diff)

    async def redeem(self, prepared: PreparedPush, bundle: bytes) -> PushResult:
        """Push exactly what was prepared. Where the branch is not where it was, nothing moves."""
        if digest_bytes(bundle) != prepared.bundle_digest:
            raise Conflict("git.bundle_refused", "these are not the bytes that the push was prepared from")
        await self._mirror.require(prepared.base, prepared.base_branch)
        async with self._unpacked(read_bundle(bundle), prepared.new) as repository:
            try:
                await self._push(repository, prepared)
            except GitFailed as failed:
                return await self._after_failure(prepared, failed)
        return Pushed(commit=prepared.new)

    async def _push(self, repository: Path, prepared: PreparedPush) -> None:
        flags = ("--porcelain", "--no-verify", "--no-follow-tags", "--no-signed", "--recurse-submodules=no")
        lease = f"--force-with-lease={prepared.ref}:{prepared.expected_old or ''}"
        refspec = f"{prepared.new}:{prepared.ref}"
        await self._git.run(
            *("push", *flags, lease, self._remote.url, refspec), directory=repository, remote=self._remote
        )

    async def _after_failure(self, prepared: PreparedPush, failed: GitFailed) -> PushResult:
        """The forge's word on a push can get lost; where its branch is now decides."""
        fault = push_fault(prepared.repository, failed)
        if fault.retryable:
            raise fault from failed
        found = await self._mirror.branch_head(prepared.branch)
        if found == prepared.new:
            return Pushed(commit=prepared.new)
        if found != prepared.expected_old:
            return LeaseLost(found=found)
        raise fault from failed

    async def _measure(
        self, repository: Path, grant: RepositoryGrant, new: str, expected_old: str | None
    ) -> None:
        if not await self._descends(repository, new, grant.base_commit):
            message = f"{new} does not descend from the granted base {grant.base_commit}"
            raise refused_push("rewrites_base", message)
        if expected_old is not None and not await self._descends(repository, new, expected_old):
            message = f"the forge's {grant.branch!r} is at {expected_old}, which {new} does not hold"
            raise refused_push("rewrites_branch", message)

    async def _descends(self, repository: Path, new: str, old: str) -> bool:
        try:
            await self._git.run("merge-base", "--is-ancestor", old, new, directory=repository)
        except GitFailed as failed:
            # 1 is git's no; 128 that `old` is not here at all, so it cannot be in a history that is.
            if failed.exit_code in (1, 128):
                return False
            raise refused_push("bundle_refused", failed.text) from failed
        return True

    @asynccontextmanager
    async def _unpacked(self, bundle: Bundle, new: str) -> AsyncGenerator[Path]:
        """A fresh repository with the bundle's objects, complete and sound, while it is looked at."""
        for commit in bundle.needs:
            if not await self._mirror.has(commit):
                raise refused_push(
                    "bundle_refused", f"the bundle needs {commit}, which the forge did not give"
                )
        await asyncio.to_thread(_sweep, self._directory)
        with tempfile.TemporaryDirectory(dir=self._directory, prefix="push-") as name:
            repository = Path(name) / "objects.git"
            await self._git.run("init", "-q", "--bare", "--template=", str(repository))
            alternates = repository / "objects" / "info" / "alternates"
            alternates.parent.mkdir(exist_ok=True)
            alternates.write_text(f"{self._mirror.directory.resolve() / 'objects'}\n")
            try:
                await self._unpack(repository, bundle)
                await self._git.run("cat-file", "commit", new, directory=repository)
            except GitTooLarge as failed:
                raise refused_push("push_too_large", failed.text) from failed
            except GitFailed as failed:
                raise refused_push("bundle_refused", last_line(failed.text)) from failed
            yield repository

    async def _unpack(self, repository: Path, bundle: Bundle) -> None:
        # `--strict` checks each object, and that all it names is in the pack or the mirror, which is whole.
        await self._git.run(
            "index-pack", "--stdin", "--fix-thin", "--strict", directory=repository, stdin=bundle.pack
        )


def _only_head(bundle: Bundle, ref: str) -> str:
    if [name for name, _ in bundle.heads] != [ref]:
        names = ", ".join(repr(name[:200]) for name, _ in bundle.heads[:5]) or "nothing"
        raise refused_push("outside_grant", f"only {ref!r} may move; the push holds {names}")
    return bundle.heads[0][1]


def _nothing_to_push(branch: str) -> Exception:
    return refused_push("nothing_to_push", f"{branch!r} has no commit of its own")


def _sweep(directory: Path) -> None:
    """Remove the quarantines of workers that died in them."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in directory.iterdir():
        try:
            stale = time.time() - path.stat().st_mtime > _STALE_SECONDS
        except FileNotFoundError:
            continue
        if stale:
            shutil.rmtree(path, ignore_errors=True)
