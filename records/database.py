"""The database of a deployment: `sqlite:///FILE` on one machine, `postgresql+psycopg://...` for many.

Reads run in a few threads with connections of their own, each in one snapshot; writes go through
`records.writer`. A database that does not answer is `Unavailable`, and is asked again by the next call.
"""

import asyncio
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import psycopg
from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from records import postgresql, sqlite
from records.blobs import BlobStore
from records.faults import STORAGE_ERRORS, unavailable
from records.link import Link
from records.migrate import upgrade

T = TypeVar("T")

READERS = 4


class Database:
    """Long texts lie in `blobs`, beside the database; deployments of several machines share that folder."""

    def __init__(self, url: str, engine: Engine, blobs: BlobStore, patience_s: float) -> None:
        self.url = url
        self.blobs = blobs
        self.engine = engine
        self._patience_s = patience_s
        self._snapshot = sqlite.SNAPSHOT if self.is_sqlite else postgresql.SNAPSHOT
        self._own: Connection | None = None
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="records-read")

    @classmethod
    def open(cls, url: str, blobs: Path, *, patience_s: float = 5.0) -> "Database":
        """Nothing is asked of the database yet; it may come up later. No lock is waited for any longer."""
        store = BlobStore(blobs)
        kind = sqlite if make_url(url).get_backend_name() == "sqlite" else postgresql
        return cls(url, kind.engine(url, {"blobs": store}, READERS, patience_s), store, patience_s)

    @property
    def is_sqlite(self) -> bool:
        return self.engine.dialect.name == "sqlite"

    def migrate(self, pepper: bytes | None = None) -> None:
        """Bring the tables to the newest version; processes that start together wait for each other."""
        with _faults():
            upgrade(self.engine, pepper)

    async def read(self, query: Callable[[Connection], T]) -> T:
        """What `query` sees in one snapshot, however many statements it makes."""
        return await self._off_loop(query, self._snapshot)

    async def look(self, query: Callable[[Connection], T]) -> T:
        """A read whose statements each see their own moment: cheaper by two round trips on PostgreSQL."""
        return await self._off_loop(query, None)

    async def glance(self, query: Callable[[Connection], T]) -> T:
        """A look at little that was just written. SQLite has it in memory and no lock is waited for, so it is
        read in the loop itself: the way to a thread and back takes ten times as long."""
        if not self.is_sqlite:
            return await self.look(query)
        with _faults():
            if self._own is None:
                self._own = self.engine.connect()
                self._own.exec_driver_sql("PRAGMA busy_timeout=0")
            return query(self._own)

    async def _off_loop(self, query: Callable[[Connection], T], begin: str | None) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, query, begin)

    def _read(self, query: Callable[[Connection], T], begin: str | None) -> T:
        with _faults():
            try:
                return self._with(query, begin)
            except (DBAPIError, psycopg.OperationalError) as error:
                if isinstance(error, DBAPIError) and not error.connection_invalidated:
                    raise
                self.engine.dispose()  # the pool knows nothing of what the driver told a query itself
                return self._with(query, begin)

    def _with(self, query: Callable[[Connection], T], begin: str | None) -> T:
        with self.engine.connect() as connection:
            if begin is not None:
                connection.exec_driver_sql(begin)
            return query(connection)

    async def ping(self) -> None:
        """Raises Unavailable where nobody answers."""
        await self.read(lambda connection: connection.execute(text("SELECT 1")).scalar_one())

    def link(self) -> Link:
        """A connection for the one writer of this process."""
        connection = self.engine.connect()
        if self.is_sqlite:
            return sqlite.SQLiteLink(connection, self._patience_s)
        return postgresql.PostgreSQLLink(connection)

    def close(self) -> None:
        self._readers.shutdown(wait=True, cancel_futures=True)
        if self._own is not None:
            self._own.invalidate()
            self._own.close()
        self.engine.dispose()


@contextmanager
def _faults() -> Generator[None]:
    """A database that does not answer is `Unavailable`; what it answers with a no stays as it is."""
    try:
        yield
    except STORAGE_ERRORS as error:
        fault = unavailable(error)
        if fault is None:
            raise
        raise fault from error


def now(connection: Connection) -> datetime:
    """The database's clock, the only one."""
    if connection.dialect.name == "sqlite":
        return datetime.fromisoformat(connection.exec_driver_sql(f"SELECT {sqlite.CLOCK}").scalar_one())
    return connection.exec_driver_sql("SELECT date_trunc('milliseconds', clock_timestamp())").scalar_one()
