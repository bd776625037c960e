"""Lists in pages: an opaque cursor names the last row that was seen, by the columns that order the list."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar, cast

import orjson
from pydantic import Field
from sqlalchemy import ColumnElement, Connection, Select, Table, literal, tuple_

from protocol.errors import InvalidRequest
from protocol.noun import Noun, rfc3339
from records.columns import AnyRow, Instant, N, noun_of

T = TypeVar("T")


class PageRequest(Noun):
    """Which page of a list; `desc` is newest first."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: str | None = None
    order: Literal["desc", "asc"] = "desc"


class Page(NamedTuple, Generic[T]):
    items: list[T]
    next_cursor: str | None


def page_of(
    connection: Connection,
    query: Select[Any],
    columns: Sequence[ColumnElement[Any]],
    request: PageRequest,
) -> Page[AnyRow]:
    """One page of `query`, ordered by `columns`, which together name a row and are among those selected."""
    if request.cursor is not None:
        seen = tuple_(*_bound(columns, request.cursor))
        query = query.where(tuple_(*columns) < seen if request.order == "desc" else tuple_(*columns) > seen)
    ordered = [column.desc() if request.order == "desc" else column.asc() for column in columns]
    rows = list(connection.execute(query.order_by(*ordered).limit(request.limit + 1)))
    if len(rows) <= request.limit:
        return Page(rows, None)
    rows = rows[: request.limit]
    return Page(rows, _encode([getattr(rows[-1], str(column.key)) for column in columns]))


def page_by_rank(connection: Connection, query: Select[Any], request: PageRequest) -> Page[AnyRow]:
    """One page of a query that orders itself by what no row keeps: the cursor counts the rows seen."""
    seen = 0
    if request.cursor is not None:
        [seen] = _values(request.cursor, 1)
        if not isinstance(seen, int) or not 0 <= seen < 2**53:
            raise _foreign()
    rows = list(connection.execute(query.limit(request.limit + 1).offset(seen)))
    if len(rows) <= request.limit:
        return Page(rows, None)
    return Page(rows[: request.limit], _encode([seen + request.limit]))


def page_of_nouns(
    noun: type[N], connection: Connection, query: Select[Any], table: Table, request: PageRequest
) -> Page[N]:
    """One page in the order in which they were made."""
    rows, cursor = page_of(connection, query, (table.c.created_at, table.c.id), request)
    return Page([noun_of(noun, row) for row in rows], cursor)


def _bound(columns: Sequence[ColumnElement[Any]], cursor: str) -> list[ColumnElement[Any]]:
    values = _values(cursor, len(columns))
    try:
        return [
            literal(_value(value, column), column.type) for value, column in zip(values, columns, strict=True)
        ]
    except ValueError as error:
        raise _foreign() from error


def _values(cursor: str, count: int) -> list[Any]:
    try:
        values = orjson.loads(base64.urlsafe_b64decode(cursor.encode("ascii")))
    except (ValueError, binascii.Error) as error:
        raise _foreign() from error
    if not isinstance(values, list) or len(cast("list[Any]", values)) != count:
        raise _foreign()
    return cast("list[Any]", values)


def _foreign() -> InvalidRequest:
    return InvalidRequest(
        "request.cursor_invalid", "the cursor was not given out by this list", param="cursor"
    )


def _value(value: object, column: ColumnElement[Any]) -> object:
    if isinstance(column.type, Instant):
        return datetime.fromisoformat(str(value))
    if not isinstance(value, column.type.python_type) or "\x00" in str(value):
        raise ValueError("wrong type")
    return value


def _encode(values: list[Any]) -> str:
    plain = [rfc3339(value) if isinstance(value, datetime) else value for value in values]
    return base64.urlsafe_b64encode(orjson.dumps(plain)).decode()
