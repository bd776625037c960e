"""Long texts: kept in their row up to 32 KiB, beyond that in the blob store, with `@digest` in the row."""

from sqlalchemy import Connection

from records.blobs import BlobStore

INLINE_LIMIT = 32 * 1024


def stow(connection: Connection, text: str) -> str:
    """What the row holds for a JSON text, which never begins with an @."""
    if len(text) <= INLINE_LIMIT // 4:
        return text
    data = text.encode()
    if len(data) <= INLINE_LIMIT:
        return text
    return "@" + _blobs(connection).put(data)


def fetch(connection: Connection, kept: str) -> str:
    return _blobs(connection).get(kept[1:]).decode() if kept.startswith("@") else kept


def _blobs(connection: Connection) -> BlobStore:
    return connection.info["blobs"]


def is_long(kept: str) -> bool:
    return kept.startswith("@")
