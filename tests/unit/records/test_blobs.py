"""The blob store and what is long enough to lie in it."""

from pathlib import Path

import pytest

from protocol.digest import digest_bytes
from protocol.errors import InvalidRequest, Unavailable
from records.blobs import BlobStore


def test_a_blob_comes_back_by_its_digest_and_is_kept_once(tmp_path: Path) -> None:
    store = BlobStore(tmp_path / "blobs")
    first = store.put(b"content")
    assert first == store.put(b"content") == digest_bytes(b"content")
    assert store.get(first) == b"content"
    assert store.has(first)
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


def test_a_missing_or_damaged_blob_is_never_passed_on(tmp_path: Path) -> None:
    store = BlobStore(tmp_path)
    with pytest.raises(Unavailable) as missing:
        store.get(digest_bytes(b"never"))
    assert missing.value.code == "storage.blob_missing"
    kept = store.put(b"content")
    next(path for path in tmp_path.rglob("*") if path.is_file()).write_bytes(b"c0ntent")
    with pytest.raises(Unavailable) as damaged:
        store.get(kept)
    assert damaged.value.code == "storage.blob_damaged"


@pytest.mark.parametrize("name", ["", "sha256:", "sha256:../../etc/passwd", "sha256:" + "A" * 64, "x" * 64])
def test_only_a_digest_names_a_blob(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest):
        BlobStore(tmp_path).get(name)


def test_a_store_that_cannot_be_written_says_that_nothing_was_acknowledged(tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file where the folder should be")
    with pytest.raises(Unavailable) as refused:
        BlobStore(tmp_path / "blobs").put(b"content")
    assert refused.value.code == "storage.unavailable"
