"""One folder of a commit, read straight out of the objects: it is neither checked out nor obeyed."""

from typing import NamedTuple

from protocol.errors import InvalidRequest, NotFound, TooLarge
from targets.forge.faults import clone_fault
from targets.forge.git import Git, GitFailed
from targets.forge.mirror import Mirror

MOST_FILES = 1_000
MOST_BYTES = 12 * 1024 * 1024

_PLAIN = {"100644": False, "100664": False, "100755": True}


class FolderFile(NamedTuple):
    """`path` is as the commit has it, and may be anything: whoever uses it as one checks it."""

    path: str
    data: bytes
    executable: bool


class _Row(NamedTuple):
    path: str
    blob: str
    size: int
    executable: bool


class Folders:
    """Reads out of mirrors. A tree with anything but plain files is refused before a byte of one is read."""

    def __init__(self, git: Git) -> None:
        self._git = git

    async def files(self, mirror: Mirror, commit: str, path: str) -> list[FolderFile]:
        """Of the folder at `path`, empty for the top."""
        where = f"{mirror.repository}@{commit[:12]}:{path}"
        try:
            command = ("ls-tree", "-r", "-z", "-l", "--full-tree", f"{commit}:{path}")
            listed = await self._git.run(*command, directory=mirror.directory)
        except GitFailed as failed:
            raise NotFound("git.folder_not_found", f"there is no folder {where}", param="path") from failed
        rows = [_row(line) for line in listed.split(b"\0") if line]
        if not rows:
            raise NotFound("git.folder_not_found", f"there is nothing in {where}", param="path")
        if len(rows) > MOST_FILES or sum(row.size for row in rows) > MOST_BYTES:
            message = f"{where} holds more than {MOST_FILES} files or {MOST_BYTES} bytes"
            raise TooLarge("git.folder_too_large", message)
        names = "".join(f"{row.blob}\n" for row in rows).encode()
        try:
            batch = await self._git.run("cat-file", "--batch", directory=mirror.directory, stdin=names)
        except GitFailed as failed:
            raise clone_fault(mirror.repository, failed) from failed
        return _taken(rows, batch)


def _row(line: bytes) -> _Row:
    """`<mode> <type> <object> <size>\\t<path>`."""
    head, _, raw = line.partition(b"\t")
    mode, _, blob, size = head.decode().split()
    try:
        path = raw.decode()
    except UnicodeDecodeError as error:
        raise _refused(raw.decode(errors="replace"), "its name is not UTF-8") from error
    if mode not in _PLAIN:
        kind = {"120000": "a link", "160000": "a submodule"}.get(mode, "no plain file")
        raise _refused(path, f"it is {kind}")
    if any(part.casefold() == ".git" for part in path.split("/")):
        raise _refused(path, "it lies in a repository's own folder")
    return _Row(path, blob, int(size), _PLAIN[mode])


def _taken(rows: list[_Row], batch: bytes) -> list[FolderFile]:
    """What `cat-file --batch` said: a line for each, then its bytes."""
    found: list[FolderFile] = []
    at = 0
    for row in rows:
        head, at = batch[at : batch.index(b"\n", at)], batch.index(b"\n", at) + 1
        assert head == f"{row.blob} blob {row.size}".encode(), head
        found.append(FolderFile(row.path, batch[at : at + row.size], row.executable))
        at += row.size + 1
    return found


def _refused(path: str, why: str) -> InvalidRequest:
    return InvalidRequest("git.folder_refused", f"{path[:200]!r}: {why}", param="path")
