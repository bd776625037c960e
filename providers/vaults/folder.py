"""A folder that is never left: a path is opened part by part from the folder above, following no link."""

import errno
import os
import stat
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from protocol.digest import digest_bytes
from protocol.errors import Conflict, InvalidRequest, NotFound, TooLarge, Unavailable

MAX_NOTE = 4 * 1024 * 1024
MAX_DEPTH = 32
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Seen(NamedTuple):
    """A file as a walk finds it."""

    path: str
    mtime_ns: int
    size: int


class Folder:
    """The notes below one folder: files with one of the suffixes, in no hidden folder."""

    def __init__(self, root: Path, suffixes: tuple[str, ...]) -> None:
        self._root = root
        self._suffixes = suffixes

    async def refresh(self) -> None:
        """The files are what they are."""

    def walk(self) -> Iterator[Seen]:
        try:
            yield from self._walk(self._root, "", 0)
        except FileNotFoundError as error:
            raise Unavailable("vault.unavailable", f"the vault's folder is not there: {error}") from error

    def read(self, path: str) -> bytes:
        with self._parent(path) as (folder, name), self._file(path, folder, name) as handle:
            return _all_of(handle, path)

    def write(self, path: str, content: bytes, *, expected: str | None) -> None:
        """Replaces a note as a whole; refused where it is not `expected` (a digest; None: not there)."""
        with self._parent(path) as (folder, name):
            mode = self._check(path, folder, name, expected)
            new = f".{name[:100]}.{os.urandom(6).hex()}"
            handle = os.open(new, _NEW, mode, dir_fd=folder)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                if expected is None:
                    os.link(new, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
                else:
                    self._check(path, folder, name, expected)
                    os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            except FileExistsError as error:
                raise _changed(path) from error
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(new, dir_fd=folder)

    def _check(self, path: str, folder: int, name: str, expected: str | None) -> int:
        """The mode of what is there, when that is what is expected."""
        try:
            with self._file(path, folder, name) as handle:
                if expected is None or digest_bytes(_all_of(handle, path)) != expected:
                    raise _changed(path)
                return stat.S_IMODE(os.fstat(handle).st_mode)
        except NotFound:
            if expected is not None:
                raise _changed(path) from None
            return 0o644

    @contextmanager
    def _parent(self, path: str) -> Generator[tuple[int, str]]:
        """The folder that holds a path, and the name in it."""
        *above, name = self._parts(path)
        folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in above:
                with _named(path):
                    inner = os.open(part, _FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder, name
        finally:
            os.close(folder)

    @contextmanager
    def _file(self, path: str, folder: int, name: str) -> Generator[int]:
        with _named(path):
            handle = os.open(name, _FILE, dir_fd=folder)
        try:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise _refused(path)
            yield handle
        finally:
            os.close(handle)

    def _parts(self, path: str) -> list[str]:
        parts = path.split("/")
        plain = all(part and not part.startswith(".") and len(part.encode()) < 256 for part in parts)
        if not plain or len(parts) > MAX_DEPTH or "\0" in path or "\\" in path:
            raise _refused(path)
        if not path.lower().endswith(self._suffixes):
            raise _refused(path)
        return parts

    def _walk(self, folder: Path, above: str, depth: int) -> Iterator[Seen]:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.name.isprintable():
                    continue
                path = f"{above}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    if depth < MAX_DEPTH - 1:
                        yield from self._walk(folder / entry.name, f"{path}/", depth + 1)
                elif entry.is_file(follow_symlinks=False) and entry.name.lower().endswith(self._suffixes):
                    found = entry.stat(follow_symlinks=False)
                    if found.st_size <= MAX_NOTE:
                        yield Seen(path, found.st_mtime_ns, found.st_size)


@contextmanager
def _named(path: str) -> Generator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.EACCES):
            raise _refused(path) from error
        raise NotFound("vault.no_note", f"there is no note {path[:200]!r}", param="note") from error


def _all_of(handle: int, path: str) -> bytes:
    data = bytearray()
    while piece := os.read(handle, 1024 * 1024):
        data += piece
        if len(data) > MAX_NOTE:
            raise TooLarge("vault.note_too_large", f"{path[:200]!r} has more than {MAX_NOTE} bytes")
    return bytes(data)


def _refused(path: str) -> InvalidRequest:
    return InvalidRequest("vault.path_refused", f"{path[:200]!r} is no path of a note", param="note")


def _changed(path: str) -> Conflict:
    return Conflict("vault.note_changed", f"{path[:200]!r} is not what it was when the change was prepared")
