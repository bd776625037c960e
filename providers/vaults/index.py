"""The index of a vault: what its notes are called, what they link to and say, kept beside the records.

It can be thrown away at any time. A note is read again when its time or size changed, and indexed again only
when its bytes did.
"""

import json
import re
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Protocol

from protocol.digest import digest_bytes
from protocol.errors import NotFound, Refused, TooLarge
from protocol.vault import Found, Link, Listed, Note
from providers.vaults.folder import Seen

FRESH_S = 1.0
"""So long an answer may be behind the files."""

_TABLES = """
PRAGMA journal_mode = WAL;
PRAGMA synchronous = OFF;
CREATE TABLE IF NOT EXISTS notes (
  path TEXT PRIMARY KEY, mtime_ns INTEGER, size INTEGER, digest TEXT, title TEXT, tags TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS names (name TEXT, path TEXT, PRIMARY KEY (name, path)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS names_of ON names (path);
CREATE TABLE IF NOT EXISTS links (path TEXT, name TEXT, link TEXT);
CREATE INDEX IF NOT EXISTS links_to ON links (name);
CREATE INDEX IF NOT EXISTS links_of ON links (path);
CREATE TABLE IF NOT EXISTS blocks (id TEXT, path TEXT, PRIMARY KEY (id, path)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS blocks_of ON blocks (path);
CREATE TABLE IF NOT EXISTS texts_of (path TEXT PRIMARY KEY, rowid_ INTEGER UNIQUE) WITHOUT ROWID;
CREATE VIRTUAL TABLE IF NOT EXISTS texts
  USING fts5(title, tags, body, tokenize = 'unicode61 remove_diacritics 2');
"""
_BEST = """
SELECT texts.rowid, texts_of.path FROM texts JOIN texts_of ON texts_of.rowid_ = texts.rowid
WHERE texts MATCH ? AND rank MATCH 'bm25(8.0, 4.0, 1.0)' ORDER BY rank LIMIT ?
"""
_EXCERPT = """
SELECT title, snippet(texts, 2, '', '', ' … ', 24) FROM texts WHERE texts MATCH ? AND rowid = ?
"""
_WORD = re.compile(r"\w+")
_MOST_WORDS = 16


class Notes(Protocol):
    """Where the notes of a vault lie."""

    async def refresh(self) -> None:
        """Before they are asked for: take in what changed elsewhere."""
        ...

    def walk(self) -> Iterator[Seen]: ...

    def read(self, path: str) -> bytes: ...

    def write(self, path: str, content: bytes, *, expected: str | None) -> None: ...


class Index:
    """One file of SQLite with FTS5; the processes of a machine may share it."""

    def __init__(self, file: Path | None, folder: Notes, parse: Callable[[str, str], Note]) -> None:
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._parse = parse
        self._lock = threading.Lock()
        self._checked = -FRESH_S
        self._db = sqlite3.connect(
            file or ":memory:", timeout=10, check_same_thread=False, isolation_level=None
        )
        self._db.executescript(_TABLES)

    def close(self) -> None:
        self._db.close()

    def listed(self, prefix: str, limit: int, tag: str | None) -> list[Listed]:
        query = "SELECT path, title, tags FROM notes WHERE substr(path, 1, ?) = ? ORDER BY path"
        with self._current() as db:
            rows = [
                Listed(path=path, title=title, tags=json.loads(tags))
                for path, title, tags in db.execute(query, (len(prefix), prefix))
            ]
        wanted = None if tag is None else tag.removeprefix("#").casefold()
        return [row for row in rows if wanted is None or wanted in map(str.casefold, row.tags)][:limit]

    def search(self, text: str, limit: int) -> list[Found]:
        """Notes with all of the words, else with some of them."""
        words = [f'"{word}"' for word in _WORD.findall(text)[:_MOST_WORDS]]
        if not words:
            return []
        with self._current() as db:
            for asked in (" ".join(words), " OR ".join(words)):
                rows = db.execute(_BEST, (asked, limit)).fetchall()
                if rows:
                    return [_found(db, asked, rowid, path) for rowid, path in rows]
        return []

    def path_of(self, name: str) -> str | None:
        """The note that a link's target, a title or an alias leads to: of several the one nearest the top."""
        with self._current() as db:
            return _resolved(db, name)

    def note_with_block(self, block: str) -> str | None:
        with self._current() as db:
            row = db.execute("SELECT path FROM blocks WHERE id = ? LIMIT 1", (block,)).fetchone()
            return None if row is None else row[0]

    def backlinks(self, path: str, limit: int) -> list[tuple[str, Link]]:
        """Which notes point at a note, and how."""
        with self._current() as db:
            names = [name for (name,) in db.execute("SELECT name FROM names WHERE path = ?", (path,))]
            names = [name for name in names if _resolved(db, name) == path]
            blocks = [
                f"(({block}))" for (block,) in db.execute("SELECT id FROM blocks WHERE path = ?", (path,))
            ]
            found: dict[tuple[str, str], None] = {}
            for name in [*names, *blocks]:
                rows = db.execute("SELECT path, link FROM links WHERE name = ? ORDER BY path", (name,))
                found.update(dict.fromkeys((source, link) for source, link in rows if source != path))
        return [(source, Link.model_validate_json(link)) for source, link in sorted(found)[:limit]]

    def _current(self) -> "_Locked":
        return _Locked(self._lock, self._db, self._refresh)

    def _refresh(self) -> None:
        if time.monotonic() - self._checked < FRESH_S:
            return
        seen = {one.path: one for one in self._folder.walk()}
        known = {
            path: (mtime_ns, size)
            for path, mtime_ns, size in self._db.execute("SELECT path, mtime_ns, size FROM notes")
        }
        gone = known.keys() - seen.keys()
        changed = [one for one in seen.values() if known.get(one.path) != (one.mtime_ns, one.size)]
        if gone or changed:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for path in gone:
                    _forget(self._db, path)
                for one in changed:
                    self._take(one)
                self._db.execute("COMMIT")
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
        self._checked = time.monotonic()

    def _take(self, seen: Seen) -> None:
        db = self._db
        try:
            data = self._folder.read(seen.path)
        except (NotFound, Refused, TooLarge):
            _forget(db, seen.path)
            return
        digest = digest_bytes(data)
        row = db.execute("SELECT digest FROM notes WHERE path = ?", (seen.path,)).fetchone()
        if row is not None and row[0] == digest:
            moved = (seen.mtime_ns, seen.size, seen.path)
            db.execute("UPDATE notes SET mtime_ns = ?, size = ? WHERE path = ?", moved)
            return
        _forget(db, seen.path)
        text = data.decode(errors="replace")
        _keep(db, seen, digest, self._parse(seen.path, text), text)


class _Locked:
    """The connection, for one thread at a time, when it is up to date."""

    def __init__(self, lock: threading.Lock, db: sqlite3.Connection, refresh: Callable[[], None]) -> None:
        self._lock = lock
        self._db = db
        self._refresh = refresh

    def __enter__(self) -> sqlite3.Connection:
        self._lock.acquire()
        try:
            self._refresh()
        except BaseException:
            self._lock.release()
            raise
        return self._db

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def _found(db: sqlite3.Connection, asked: str, rowid: int, path: str) -> Found:
    """An excerpt is made for each note that is shown, not for each that fits."""
    title, said = db.execute(_EXCERPT, (asked, rowid)).fetchone()
    return Found(path=path, title=title, excerpt=said)


def _keep(db: sqlite3.Connection, seen: Seen, digest: str, note: Note, text: str) -> None:
    path, tags = seen.path, json.dumps(note.tags)
    row = (path, seen.mtime_ns, seen.size, digest, note.title, tags)
    db.execute("INSERT INTO notes VALUES (?, ?, ?, ?, ?, ?)", row)
    names = dict.fromkeys(_names(path, note))
    db.executemany("INSERT OR IGNORE INTO names VALUES (?, ?)", [(name, path) for name in names])
    links = [(path, _linked(link), link.model_dump_json(exclude_defaults=True)) for link in note.links]
    db.executemany("INSERT INTO links VALUES (?, ?, ?)", links)
    db.executemany("INSERT OR IGNORE INTO blocks VALUES (?, ?)", [(block, path) for block in note.blocks])
    titles = " ".join((note.title, *note.aliases))
    insert = "INSERT INTO texts (title, tags, body) VALUES (?, ?, ?)"
    rowid = db.execute(insert, (titles, " ".join(note.tags), text)).lastrowid
    db.execute("INSERT INTO texts_of VALUES (?, ?)", (path, rowid))


def _forget(db: sqlite3.Connection, path: str) -> None:
    row = db.execute("SELECT rowid_ FROM texts_of WHERE path = ?", (path,)).fetchone()
    if row is not None:
        db.execute("DELETE FROM texts WHERE rowid = ?", row)
    for table in ("notes", "names", "links", "blocks", "texts_of"):
        db.execute(f"DELETE FROM {table} WHERE path = ?", (path,))


def _names(path: str, note: Note) -> Iterator[str]:
    """Everything that a link may call a note: its path, the end of it, its title and aliases."""
    whole = _key(path)
    parts = whole.split("/")
    for start in range(len(parts)):
        yield "/".join(parts[start:])
    yield from (_key(name) for name in (note.title, *note.aliases))


def _linked(link: Link) -> str:
    return _key(link.target) if link.target else f"(({link.fragment}))"


def _key(name: str) -> str:
    name = name.strip().strip("/").casefold()
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix in (".md", ".txt", ".rst", ".markdown") else name


def _resolved(db: sqlite3.Connection, name: str) -> str | None:
    if db.execute("SELECT 1 FROM notes WHERE path = ?", (name,)).fetchone():
        return name
    query = (
        "SELECT path FROM names WHERE name = ? ORDER BY length(path) - length(replace(path, '/', '')), path"
    )
    row = db.execute(f"{query} LIMIT 1", (_key(name),)).fetchone()
    return None if row is None else row[0]
