"""What a database's refusal means: nobody answered (`Unavailable`), or two transactions collided."""

import sqlite3

import psycopg
from psycopg import errors as pg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from protocol.errors import Unavailable

Raw = sqlite3.Error | psycopg.Error
STORAGE_ERRORS = (sqlite3.Error, psycopg.Error, DBAPIError, PoolTimeout)

_SQLITE_AWAY = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_PROTOCOL,
    }
)
_COLLISIONS = (pg.DeadlockDetected, pg.SerializationFailure)
_READ_ONLY = pg.ReadOnlySqlTransaction


def away(reason: str) -> Unavailable:
    message = f"the records cannot be reached ({reason}); nothing was acknowledged"
    return Unavailable("storage.unavailable", message, retry_after=1)


def unavailable(error: BaseException) -> Unavailable | None:
    """The fault to answer with, where the database did not answer; None where it did, with a no."""
    if isinstance(error, PoolTimeout):
        return away("all connections are in use")
    raw = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(raw, sqlite3.Error):
        code = getattr(raw, "sqlite_errorcode", None)
        return away(str(raw)) if code is not None and code & 0xFF in _SQLITE_AWAY else None
    if isinstance(raw, _COLLISIONS):
        return None
    if isinstance(raw, psycopg.OperationalError | psycopg.InterfaceError | _READ_ONLY):
        first = str(raw).strip().splitlines() or [type(raw).__name__]
        return away(first[0])
    return None


def collided(error: BaseException) -> bool:
    """Two transactions waited for each other: the same unit succeeds when it is tried again."""
    raw = error.orig if isinstance(error, DBAPIError) else error
    return isinstance(raw, _COLLISIONS)
