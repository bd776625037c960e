"""Git in a box: the seed, checkpoints of the work tree, and the bundle of a branch.

Every git call runs in the box, never on a host, with hooks and file monitors off and no configuration
but ours. Checkpoints go through a git directory of our own beside the work tree, which has its own
index and reads neither the repository's configuration nor its filters: a hostile `.git/config` can
spoil the repository's own branches, not the checkpoint. Only objects are shared with the repository.
"""

import re
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from protocol.errors import TargetLost, TargetRefused
from protocol.target import Exit, TreeCheckpoint
from targets.git_scripts import (
    CHECKPOINT,
    HEAD,
    PACK,
    PLACE,
    PREPARE,
    TAKE,
    UNPACK,
    UNPACK_SETUP,
)

MAX_CHECKPOINT = 256 * 1024 * 1024
_OBJECT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_SECONDS = 120
_ALREADY = 9
_REFUSALS = {
    3: ("git.ref_missing", "the branch does not exist in the work tree's repository"),
    4: ("git.base_missing", "the base commit is not in the work tree's repository"),
    5: ("git.nothing_to_push", "the branch holds nothing that the base does not have"),
    6: ("git.branch_refused", "not a branch name"),
    7: ("target.not_empty", "the work tree is not empty"),
    8: ("git.commit_missing", "the bundles do not hold the commit"),
    28: ("target.disk_full", "the work tree's disk is full"),
}
_ENVIRONMENT = {
    "HOME": "/nonexistent",
    "XDG_CONFIG_HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_AUTHOR_NAME": "Rhone",
    "GIT_AUTHOR_EMAIL": "agent@rhone.invalid",
    "GIT_AUTHOR_DATE": "@0 +0000",
    "GIT_COMMITTER_NAME": "Rhone",
    "GIT_COMMITTER_EMAIL": "agent@rhone.invalid",
    "GIT_COMMITTER_DATE": "@0 +0000",
}


class Ran(Protocol):
    """What a short command in the box gave."""

    @property
    def exit(self) -> Exit: ...
    @property
    def stdout(self) -> bytes: ...
    @property
    def stderr(self) -> bytes: ...


Run = Callable[[tuple[str, ...], dict[str, str], bytes, int, int], Coroutine[Any, Any, "Ran | None"]]
"""Runs (argv, env, stdin, stdout limit, milliseconds) in the box; `None` when it wrote more than that."""


class WorkspaceGit:
    """The git half of a target, over a way to run a short command in its box."""

    def __init__(self, run: Run) -> None:
        self._run = run

    async def seed(self, bundle: bytes, *, commit: str, branch: str) -> None:
        await self.restore([bundle], commit=commit, branch=branch)

    async def restore(self, bundles: Sequence[bytes], *, commit: str, branch: str) -> None:
        prepared = await self._script(PREPARE, _object(commit), branch, may=(_ALREADY,))
        if prepared.exit.exit_code == _ALREADY:
            return
        for bundle in bundles:
            await self._script(UNPACK, stdin=pack_of(bundle))
        await self._script(PLACE, commit, branch)

    async def checkpoint(self, *, since: str | None) -> TreeCheckpoint | None:
        ran = await self._script(CHECKPOINT, _object(since) if since else "", limit=MAX_CHECKPOINT)
        if not ran.stdout:
            return None
        head, _, bundle = ran.stdout.partition(b"\n")
        commit, _, tree = head.decode(errors="replace").partition(" ")
        if not (_OBJECT.fullmatch(commit) and _OBJECT.fullmatch(tree) and bundle.startswith(b"# v")):
            raise TargetLost("target.misbehaved", "a checkpoint that is none came out of the box")
        return TreeCheckpoint(commit=commit, tree=tree, bundle=bundle)

    async def head(self) -> str | None:
        said = (await self._script(HEAD)).stdout.decode(errors="replace").strip()
        return said if _OBJECT.fullmatch(said) else None

    async def take_bundle(self, *, base: str, ref: str, limit: int) -> bytes:
        name = ref if ref.startswith("refs/heads/") else f"refs/heads/{ref}"
        return (await self._script(TAKE, _object(base), name, limit=limit)).stdout

    async def pack(self, *, limit: int) -> bytes | None:
        ran = await self._run(("/bin/sh", "-c", PACK), _ENVIRONMENT, b"", limit, _SECONDS * 1000)
        return ran.stdout if ran is not None and ran.exit.exit_code == 0 else None

    async def unpack(self, packed: bytes) -> None:
        await self._script(UNPACK_SETUP, stdin=packed)

    async def _script(
        self,
        script: str,
        *arguments: str,
        stdin: bytes = b"",
        limit: int = 1_048_576,
        may: tuple[int, ...] = (),
    ) -> Ran:
        argv = ("/bin/sh", "-c", script, "sh", *arguments)
        ran = await self._run(argv, _ENVIRONMENT, stdin, limit, _SECONDS * 1000)
        if ran is None:
            raise TargetRefused("git.bundle_too_large", f"more than {limit} bytes would leave the box")
        code = ran.exit.exit_code
        if code == 0 or code in may:
            return ran
        if ran.exit.timed_out:
            raise TargetRefused("git.timed_out", f"git in the box took longer than {_SECONDS} s")
        said = ran.stderr.decode(errors="replace").strip()[-2000:]
        if "No space left on device" in said:
            code = 28
        refusal, sentence = _REFUSALS.get(code or -1, ("git.failed", "git in the box failed"))
        raise TargetRefused(refusal, f"{sentence}: {said}" if said else sentence)


def _object(name: str) -> str:
    if not _OBJECT.fullmatch(name):
        raise TargetRefused("git.commit_refused", f"{name!r} is not the id of a commit")
    return name


def pack_of(bundle: bytes) -> bytes:
    """The pack in a bundle, which any git can take from its input."""
    head, empty_line, pack = bundle.partition(b"\n\n")
    if not head.startswith((b"# v2 git bundle", b"# v3 git bundle")) or not empty_line:
        raise TargetRefused("git.bundle_refused", "not a git bundle")
    return pack
