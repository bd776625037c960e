"""Memory as the records keep it: versions with their provenance, found by words, forgotten for good."""

import re
from datetime import timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, and_, cast, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import TSQUERY, TSVECTOR

from protocol.label import Label
from protocol.memory import (
    Absent,
    Forgotten,
    Found,
    MemoryDraft,
    MemoryPlace,
    MemoryRecord,
    Provenance,
    Removal,
    Stale,
    Written,
)
from records.columns import AnyRow
from records.conflicts import insert_unless_there
from records.database import Database, now
from records.memory_tables import WORDS, memories
from records.paging import Page, PageRequest, page_by_rank, page_of
from records.tx import Tx
from records.writer import Writer

_WORD = re.compile(r"[^\W_]+")
_LONGEST_WORD = 100
_LAST_POSITION = 16_000
_MOST_ASKED = 32
_COLUMNS = [column for column in memories.c if column.name != "words"]


class _Version(NamedTuple):
    """What a new version holds; a tombstone has no text."""

    key: str
    text: str | None
    labels: tuple[Label, ...]
    provenance: Provenance
    expires_in_s: int | None
    effect_key: str | None


class Memories:
    """The keeper that needs nothing but the database."""

    identity = "rhone:memory"

    def __init__(self, database: Database, writer: Writer) -> None:
        self._database = database
        self._writer = writer

    async def search(self, place: MemoryPlace, query: str, limit: int, cursor: str | None = None) -> Found:
        asked = list(dict.fromkeys(_words(query)))[:_MOST_ASKED]
        page = PageRequest(limit=limit, cursor=cursor)
        found = await self._database.read(lambda connection: _search(connection, place, asked, page))
        return Found(records=tuple(_record(row) for row in found.items), next_cursor=found.next_cursor)

    async def read(self, place: MemoryPlace, key: str) -> MemoryRecord | None:
        def query(connection: Connection) -> MemoryRecord | None:
            row = connection.execute(_alive(connection, place).where(memories.c.key == key)).first()
            return None if row is None else _record(row)

        return await self._database.read(query)

    async def write(self, place: MemoryPlace, draft: MemoryDraft) -> Written | Stale:
        return await self._writer.commit(lambda tx: _write(tx, place, draft))

    async def delete(self, place: MemoryPlace, removal: Removal) -> Forgotten | Stale | Absent:
        return await self._writer.commit(lambda tx: _delete(tx, place, removal))


def _write(tx: Tx, place: MemoryPlace, draft: MemoryDraft) -> Written | Stale:
    former = _of_effect(tx, place, draft.effect_key)
    if former is not None and former.text is not None:
        return Written(record=_record(former), repeated=True)
    if former is not None:
        return Stale(version=former.version)  # written by an earlier try, and replaced since
    there = _newest(tx, place, draft.key)
    alive = there is not None and _lives(there, tx)
    found = there.version if there is not None and alive else 0
    if draft.expected is not None and draft.expected != found:
        return Stale(version=found)
    new = _Version(
        draft.key, draft.text, draft.labels, draft.provenance, draft.expires_in_s, draft.effect_key
    )
    row = _put(tx, place, there, new)
    return Stale(version=found + 1) if row is None else Written(record=_record(row))


def _delete(tx: Tx, place: MemoryPlace, removal: Removal) -> Forgotten | Stale | Absent:
    former = _of_effect(tx, place, removal.effect_key)
    if former is not None:
        return Forgotten(version=former.version)
    there = _newest(tx, place, removal.key)
    if there is None or not _lives(there, tx):
        return Absent()
    if removal.expected is not None and removal.expected != there.version:
        return Stale(version=there.version)
    tombstone = _Version(removal.key, None, (), removal.provenance, None, removal.effect_key)
    row = _put(tx, place, there, tombstone)
    return Stale(version=there.version + 1) if row is None else Forgotten(version=row.version)


def _put(tx: Tx, place: MemoryPlace, there: AnyRow | None, new: _Version) -> AnyRow | None:
    """The new version in the place of the one that was there; None where somebody else was quicker."""
    version = there.version + 1 if there is not None else 1
    lasts = timedelta(seconds=new.expires_in_s) if new.expires_in_s else None
    row: dict[str, Any] = {
        **place.tenant.model_dump(),
        "scope": place.scope,
        "owner": place.owner,
        "key": new.key,
        "version": version,
        "current": True,
        "text": new.text,
        "labels": new.labels,
        "provenance": new.provenance,
        "effect_key": new.effect_key,
        "created_at": tx.now,
        "expires_at": tx.now + lasts if lasts else None,
    }
    if not insert_unless_there(tx.connection, memories, row):
        return None
    if there is not None:
        _wipe(tx.connection, there.number)
    of = and_(_in(place), memories.c.key == new.key, memories.c.version == version)
    made = tx.connection.execute(select(*_COLUMNS).where(of)).one()
    if new.text is not None:
        _index(tx.connection, made.number, _words(f"{new.key} {new.text}"))
    return made


def _wipe(connection: Connection, number: int) -> None:
    """Of a version that is replaced only who wrote it, and when, is kept."""
    gone = update(memories).where(memories.c.number == number)
    connection.execute(gone.values(current=False, text=None, words=None))
    if connection.dialect.name == "sqlite":
        connection.execute(text(f"DELETE FROM {WORDS} WHERE rowid = :number"), {"number": number})


def _index(connection: Connection, number: int, words: list[str]) -> None:
    if connection.dialect.name == "sqlite":
        insert = text(f"INSERT INTO {WORDS} (rowid, words) VALUES (:number, :words)")
        connection.execute(insert, {"number": number, "words": " ".join(words)})
        return
    # The words are ours already: PostgreSQL's own parser would cut them by the locale of the server.
    vector = " ".join(f"'{word}':{min(at, _LAST_POSITION)}" for at, word in enumerate(words, 1))
    of = update(memories).where(memories.c.number == number)
    connection.execute(of.values(words=cast(vector, TSVECTOR)))


def _search(connection: Connection, place: MemoryPlace, asked: list[str], page: PageRequest) -> Page[AnyRow]:
    alive = _alive(connection, place)
    if not asked:
        return page_of(connection, alive, (memories.c.created_at, memories.c.number), page)
    newest = memories.c.created_at.desc(), memories.c.number.desc()
    if connection.dialect.name == "sqlite":
        ranked = text(f"SELECT rowid AS of, rank AS rank FROM {WORDS} WHERE {WORDS} MATCH :asked")
        found = ranked.bindparams(asked=" OR ".join(f'"{word}"*' for word in asked))
        hits = found.columns(of=memories.c.number.type, rank=memories.c.version.type).subquery()
        query = alive.join(hits, hits.c.of == memories.c.number).order_by(hits.c.rank, *newest)
    else:
        wanted = cast(" | ".join(f"'{word}':*" for word in asked), TSQUERY)
        rank = func.ts_rank(memories.c.words, wanted)
        query = alive.where(memories.c.words.bool_op("@@")(wanted)).order_by(rank.desc(), *newest)
    return page_by_rank(connection, query, page)


def _alive(connection: Connection, place: MemoryPlace) -> Select[Any]:
    lasting = or_(memories.c.expires_at.is_(None), memories.c.expires_at > now(connection))
    there = and_(_in(place), memories.c.current, memories.c.text.is_not(None), lasting)
    return select(*_COLUMNS).where(there)


def _in(place: MemoryPlace) -> ColumnElement[bool]:
    return and_(
        memories.c.org_id == place.tenant.org_id,
        memories.c.project_id == place.tenant.project_id,
        memories.c.scope == place.scope,
        memories.c.owner == place.owner,
    )


def _newest(tx: Tx, place: MemoryPlace, key: str) -> AnyRow | None:
    query = select(*_COLUMNS).where(_in(place), memories.c.key == key, memories.c.current)
    return tx.connection.execute(query).first()


def _of_effect(tx: Tx, place: MemoryPlace, effect_key: str | None) -> AnyRow | None:
    if effect_key is None:
        return None
    return tx.connection.execute(
        select(*_COLUMNS).where(_in(place), memories.c.effect_key == effect_key)
    ).first()


def _lives(row: AnyRow, tx: Tx) -> bool:
    return row.text is not None and (row.expires_at is None or row.expires_at > tx.now)


def _record(row: AnyRow) -> MemoryRecord:
    return MemoryRecord(**{name: getattr(row, name) for name in MemoryRecord.model_fields})


def _words(content: str) -> list[str]:
    return [word.casefold()[:_LONGEST_WORD] for word in _WORD.findall(content)]
