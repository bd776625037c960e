"""Long bodies as files named by their SHA-256: flushed before they are named, checked when they are read."""

import os
import tempfile
from pathlib import Path

from protocol.digest import digest_bytes
from protocol.errors import InvalidRequest, Unavailable


class BlobStore:
    """A folder of blobs; several processes may share it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put(self, data: bytes) -> str:
        """The digest under which `data` now lies on disk."""
        digest = digest_bytes(data)
        path = self._path(digest)
        try:
            if path.exists():
                return digest
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(name, path)
            except OSError:
                os.unlink(name)
                raise
            _flush(path.parent)
        except OSError as error:
            raise Unavailable(
                "storage.unavailable", f"the blob store cannot be written ({error.strerror})", retry_after=1
            ) from error
        return digest

    def get(self, digest: str) -> bytes:
        try:
            data = self._path(digest).read_bytes()
        except OSError as error:
            raise Unavailable("storage.blob_missing", f"the blob {digest} cannot be read") from error
        if digest_bytes(data) != digest:
            raise Unavailable("storage.blob_damaged", f"the blob {digest} does not hold what its name says")
        return data

    def has(self, digest: str) -> bool:
        return self._path(digest).exists()

    def _path(self, digest: str) -> Path:
        body = digest.removeprefix("sha256:")
        if len(body) != 64 or not set(body) <= set("0123456789abcdef"):
            raise InvalidRequest("storage.digest_invalid", f"{digest!r} is not a SHA-256 digest")
        return self._folder / body[:2] / body


def _flush(folder: Path) -> None:
    """The rename itself must survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
