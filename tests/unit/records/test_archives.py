"""FIL-01: hostile archives are refused before anything is written, and what common tools make is read."""

import bz2
import gzip
import io
import lzma
import stat
import tarfile
import time
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.errors import Refused
from records.archives import MAX_ARCHIVE, Entry, read_archive

Member = tuple[str, bytes, dict[str, object]]


def member(name: str, data: bytes = b"x", **fields: object) -> Member:
    return name, data, fields


def tarred(*members: Member, form: int = tarfile.GNU_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, data, fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def zipped(*members: Member, form: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", form) as archive:
        for name, data, fields in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFREG | 0o644) << 16
            for field, value in fields.items():
                setattr(info, field, value)
            archive.writestr(info, data, form)
    return out.getvalue()


def link(name: str, to: str, kind: bytes = tarfile.SYMTYPE) -> Member:
    return member(name, b"", type=kind, linkname=to)


def overlapping() -> bytes:
    """Both names of the directory lead to the same compressed megabytes."""
    one = zipped(member("a", bytes(10_000_000)))
    start = one.index(b"PK\1\2")
    end = one.index(b"PK\5\6")
    entry = one[start:end]
    other = entry.replace(b"a", b"b") if entry.count(b"a") == 1 else entry[:46] + b"b" + entry[47:]
    directory = entry + other
    tail = bytearray(one[end:])
    tail[8:12] = b"\2\0\2\0"
    tail[12:16] = len(directory).to_bytes(4, "little")
    return one[:start] + directory + bytes(tail)


def lying_about_its_size() -> bytes:
    """A directory that says ten bytes for ten megabytes."""
    data = bytearray(zipped(member("a", bytes(10_000_000))))
    at = data.index(b"PK\1\2")
    data[at + 24 : at + 28] = (10).to_bytes(4, "little")
    return bytes(data)


def a_million_entries() -> bytes:
    """Ten thousand headers, compressed so that the piece can be repeated."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(b"") + packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(tarred(member("f", b""))[:512] * 10_000) + packer.flush(zlib.Z_FULL_FLUSH)
    return head + piece * 100


def a_million_zip_entries() -> bytes:
    entry = zipped(member("a", b""))
    start, end = entry.index(b"PK\1\2"), entry.index(b"PK\5\6")
    return entry[:start] + entry[start:end] * 100_000 + entry[end:]


def a_size_out_of_a_pax_header() -> bytes:
    """Two readers would disagree on where the next header lies."""
    return tarred(member("a", pax_headers={"size": "512"}), member("b"), form=tarfile.PAX_FORMAT)


def digits_without_end() -> bytes:
    """What makes the standard library's reader search for hours."""
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 4_000_000
    return info.tobuf() + b"1" * 4_000_000 + bytes(2048)


HOSTILE: dict[str, Callable[[], bytes]] = {
    "zip slip": lambda: zipped(member("../../etc/cron.d/x")),
    "tar slip": lambda: tarred(member("../../etc/cron.d/x")),
    "absolute path": lambda: tarred(member("/etc/passwd")),
    "slip by backslash": lambda: zipped(member("..\\..\\x")),
    "drive letter": lambda: zipped(member("C:/x")),
    "slip by a name that ends in dots": lambda: zipped(member("a/.. /x")),
    "slip by a pax path": lambda: tarred(member("a", pax_headers={"path": "../x"}), form=tarfile.PAX_FORMAT),
    "slip by a long GNU name": lambda: tarred(member("../" * 40 + "x")),
    "symlink": lambda: tarred(link("a", "/etc/passwd")),
    "symlink, then a file through it": lambda: tarred(link("d", "/tmp"), member("d/x")),
    "symlink in a zip": lambda: zipped(member("a", b"/etc", external_attr=(stat.S_IFLNK | 0o777) << 16)),
    "hard link": lambda: tarred(link("a", "/etc/passwd", tarfile.LNKTYPE)),
    "long chain of links (filter bypass)": lambda: tarred(
        *(link("/".join(["d" * 60] * depth) or "l", "d" * 60) for depth in range(1, 16)), member("l/x")
    ),
    "device": lambda: tarred(member("a", b"", type=tarfile.CHRTYPE, devmajor=1, devminor=3)),
    "fifo": lambda: tarred(member("a", b"", type=tarfile.FIFOTYPE)),
    "setuid": lambda: tarred(member("a", mode=0o4755)),
    "setuid in a zip": lambda: zipped(member("a", external_attr=(stat.S_IFREG | 0o4755) << 16)),
    "two names that differ by case": lambda: zipped(member("SKILL.md"), member("skill.MD")),
    "two names that differ by Unicode form": lambda: tarred(
        member("caf\u00e9"), member("cafe\u0301"), form=tarfile.PAX_FORMAT
    ),
    "one name twice": lambda: tarred(member("a", b"1"), member("a", b"2")),
    "a file that is a folder": lambda: tarred(member("a"), member("a/b")),
    "invisible characters": lambda: zipped(member("a\u202egnp.sh")),
    "nested archive": lambda: zipped(member("more.zip", zipped(member("a", bytes(1000))))),
    "overlapping members": overlapping,
    "deflate bomb": lambda: zipped(*(member(f"f{number}", bytes(2_000_000)) for number in range(10))),
    "a size that is not the declared one": lying_about_its_size,
    "gzip bomb": lambda: gzip.compress(bytes(100_000_000), 1),
    "xz bomb": lambda: lzma.compress(bytes(100_000_000), preset=0),
    "bzip2 bomb": lambda: bz2.compress(bytes(45_000_000), 1),
    "a million entries": a_million_entries,
    "a hundred thousand entries of a zip": a_million_zip_entries,
    "a size out of a pax header": a_size_out_of_a_pax_header,
    "a link out of a pax header": lambda: tarred(
        member("a", pax_headers={"linkpath": "/etc"}), form=tarfile.PAX_FORMAT
    ),
    "a sparse map": lambda: tarred(member("a", b"", type=tarfile.GNUTYPE_SPARSE)),
    "a pax header without an end": digits_without_end,
    "more bytes than an archive may have": lambda: bytes(MAX_ARCHIVE + 1),
    "cut in the middle": lambda: zipped(member("a", bytes(100)))[:-30],
    "no archive at all": lambda: b"#!/bin/sh\nrm -rf /\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_within_its_bounds(name: str) -> None:
    data = HOSTILE[name]()
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(Refused) as refused:
        read_archive(data)
    took = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused.value.code in (
        *("archive.refused", "archive.damaged", "archive.too_large", "archive.too_many_entries"),
    )
    assert took < 5
    assert peak < 200 * 1024 * 1024


def test_the_list_is_at_least_as_long_as_was_promised() -> None:
    assert len(HOSTILE) >= 25


FILES = {"SKILL.md": Entry(b"hello"), "scripts/run.sh": Entry(b"#!/bin/sh", executable=True)}


def on_disk(folder: Path) -> Path:
    (folder / "scripts").mkdir()
    (folder / "SKILL.md").write_bytes(b"hello")
    (folder / "SKILL.md").chmod(0o644)
    (folder / "scripts" / "run.sh").write_bytes(b"#!/bin/sh")
    (folder / "scripts" / "run.sh").chmod(0o755)
    return folder


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_folder_that_tar_packs_is_read(tmp_path: Path, mode: str, form: int) -> None:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode, format=form) as archive:  # type: ignore[call-overload]
        archive.add(on_disk(tmp_path), arcname=".")
    assert read_archive(out.getvalue()) == FILES


def test_a_zip_keeps_which_files_may_be_run(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for path in sorted(on_disk(tmp_path).rglob("*")):
            archive.write(path, path.relative_to(tmp_path))
    assert read_archive(out.getvalue()) == FILES


def test_long_names_are_read_in_every_form() -> None:
    name = "references/" + "a" * 120 + ".md"
    for form in (tarfile.GNU_FORMAT, tarfile.PAX_FORMAT):
        assert read_archive(tarred(member(name), form=form)) == {name: Entry(b"x")}
    split = "r" * 90 + "/" + "a" * 90
    assert read_archive(tarred(member(split), form=tarfile.USTAR_FORMAT)) == {split: Entry(b"x")}
