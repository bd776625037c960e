"""Archives from outside, read in memory and wholly checked before anything is kept of them.

Only plain files and folders pass. Nothing is unpacked to a disk: what comes out is names and bytes, and how
many there may be is bounded before a byte is decompressed or, where no size can be believed, while it is.
"""

import bz2
import io
import lzma
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from protocol.errors import InvalidRequest, TooLarge
from records.tar_members import TarMember, tar_members

MAX_ARCHIVE = 6 * 1024 * 1024
MAX_CONTENT = 12 * 1024 * 1024
MAX_ENTRIES = 1_000
MAX_PATH = 512

_TAR_OVERHEAD = MAX_ENTRIES * 3 * 1024
_ZIP_HEADER = 30
_CHUNK = 64 * 1024
_PACKED = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar", ".jar", ".whl")
_LENT = stat.S_ISUID | stat.S_ISGID | stat.S_ISVTX


class Entry(NamedTuple):
    """A file of an archive."""

    data: bytes
    executable: bool = False


class _Member(NamedTuple):
    """What a header says of a file or folder, and how its bytes are read."""

    path: str
    is_folder: bool
    mode: int
    size: int
    read: Callable[[], bytes]


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def read_archive(data: bytes) -> dict[str, Entry]:
    """The files of a zip, or of a tar that may be compressed, by path. Raises InvalidRequest or TooLarge."""
    if len(data) > MAX_ARCHIVE:
        raise TooLarge("archive.too_large", f"the archive has {len(data)} bytes, the limit is {MAX_ARCHIVE}")
    try:
        if data[:2] != b"PK":
            return _files(_of_tar(_inflated(data)))
        if data.count(b"PK\1\2") > MAX_ENTRIES:
            raise _too_many()
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _files(_of_zip(archive, len(data)))
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, ValueError) as error:
        raise InvalidRequest("archive.damaged", f"the archive does not read: {error}") from error


def check_path(path: str) -> None:
    """Refuses what is not a plain relative path under every operating system."""
    if len(path.encode(errors="replace")) > MAX_PATH:
        raise _refused(path, f"its path is longer than {MAX_PATH} bytes")
    if any(unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in path):
        raise _refused(path, "its path holds a control or an invisible character")
    if "\\" in path or ":" in path:
        raise _refused(path, "its path holds a backslash or a colon")
    if any(part in ("", ".", "..") or part[-1] in ". " for part in path.split("/")):
        raise _refused(path, "its path is absolute, leaves its folder, or has a part that ends in a dot")


def _of_zip(archive: zipfile.ZipFile, end: int) -> list[_Member]:
    """Members that share bytes are how a small zip becomes a large one: each has a place of its own."""
    for info in sorted(archive.infolist(), key=lambda info: info.header_offset, reverse=True):
        if info.header_offset + _ZIP_HEADER + info.compress_size > end:
            raise _refused(info.orig_filename, "it overlaps another member")
        end = info.header_offset
    return [_zipped(archive, info) for info in archive.infolist()]


def _zipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Member:
    name, mode = info.orig_filename, info.external_attr >> 16
    if info.flag_bits & 0x1:
        raise _refused(name, "it is encrypted")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _refused(name, "it is neither stored nor deflated")
    if not info.flag_bits & 0x800 and not name.isascii():
        raise _refused(name, "its name is not UTF-8")
    kind = stat.S_IFMT(mode)
    if kind not in (0, stat.S_IFDIR if name.endswith("/") else stat.S_IFREG):
        raise _refused(name, "it is neither a file nor a folder")

    def read() -> bytes:
        with archive.open(info) as opened:
            data = opened.read(info.file_size + 1)
        if len(data) != info.file_size:
            raise _refused(name, "its size is not the declared one")
        return data

    return _Member(_plain(name), name.endswith("/"), mode, info.file_size, read)


def _of_tar(data: bytes) -> list[_Member]:
    found: list[_Member] = []
    for member in tar_members(data):
        if len(found) == MAX_ENTRIES:
            raise _too_many()
        if member.kind not in ("file", "folder"):
            raise _refused(member.path, "it is neither a file nor a folder")
        found.append(_archived(data, member))
    return found


def _archived(data: bytes, member: TarMember) -> _Member:
    start, end = member.start, member.start + member.size
    return _Member(
        _plain(member.path), member.kind == "folder", member.mode, member.size, lambda: data[start:end]
    )


def _plain(name: str) -> str:
    """`tar -c .` and its like name everything from `./` on."""
    return name.removesuffix("/").removeprefix("./")


def _inflated(data: bytes) -> bytes:
    """The bytes of a tar; decompression stops where there would be too many."""
    inflater = _inflater_of(data)
    if inflater is None:
        return data
    limit = MAX_CONTENT + _TAR_OVERHEAD
    whole, at, fed = bytearray(), 0, b""
    while not inflater.eof:
        if not fed:
            fed, at = data[at : at + _CHUNK], at + _CHUNK
        if not fed:
            raise ValueError("it ends early")
        whole += inflater.decompress(fed, limit + 1 - len(whole))
        fed = getattr(inflater, "unconsumed_tail", b"")
        if len(whole) > limit:
            raise _too_much()
    return bytes(whole)


def _inflater_of(data: bytes) -> _Inflater | None:
    if data[:2] == b"\x1f\x8b":
        return zlib.decompressobj(wbits=31)
    if data[:3] == b"BZh":
        return bz2.BZ2Decompressor()
    if data[:6] == b"\xfd7zXZ\x00":
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=64 * 1024 * 1024)
    return None


def _files(members: Sequence[_Member]) -> dict[str, Entry]:
    """Nothing is read of an archive whose headers do not all pass."""
    members = [member for member in members if member.path not in ("", ".")]
    _check(members)
    return {
        member.path: Entry(member.read(), bool(member.mode & 0o111))
        for member in members
        if not member.is_folder
    }


def _check(members: Sequence[_Member]) -> None:
    if len(members) > MAX_ENTRIES:
        raise _too_many()
    if sum(member.size for member in members) > MAX_CONTENT:
        raise _too_much()
    files, folders = set[str](), set[str]()
    for member in members:
        check_path(member.path)
        if member.mode & _LENT:
            raise _refused(member.path, "it is setuid, setgid or sticky")
        if not member.is_folder and member.path.lower().endswith(_PACKED):
            raise _refused(member.path, "it is an archive itself")
        same = _folded(member.path)
        if same in files or (member.is_folder and same in folders):
            raise _refused(member.path, "another member has its name, or one that differs by case or form")
        (folders if member.is_folder else files).add(same)
    above = {parent for path in files | folders for parent in _parents(path)}
    for path in sorted(files & (above | folders)):
        raise _refused(path, "it is a file and a folder")


def _folded(path: str) -> str:
    """Equal for paths that some file system takes for one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def _refused(path: str, why: str) -> InvalidRequest:
    return InvalidRequest("archive.refused", f"{path[:200]!r}: {why}")


def _too_many() -> TooLarge:
    return TooLarge("archive.too_many_entries", f"the archive has more than {MAX_ENTRIES} entries")


def _too_much() -> TooLarge:
    return TooLarge("archive.too_large", f"the archive holds more than {MAX_CONTENT} bytes")
