"""Cursors: opaque to a client, and refused where they were not given out."""

from collections.abc import Generator
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from sqlalchemy import Column, Connection, Integer, MetaData, Table, Text, create_engine, insert, select

from protocol.errors import InvalidRequest
from records.columns import Instant
from records.paging import PageRequest, page_of

table = Table("things", MetaData(), Column("id", Text), Column("at", Instant), Column("n", Integer))
AT = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


@pytest.fixture
def connection() -> Generator[Connection]:
    with create_engine("sqlite://").connect() as connection:
        table.create(connection)
        rows = [{"id": f"t{number}", "at": AT, "n": number % 3} for number in range(10)]
        connection.execute(insert(table), rows)
        yield connection


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 10, 11])
def test_the_pages_of_a_list_are_the_list(connection: Connection, order: str, limit: int) -> None:
    columns = (table.c.at, table.c.n, table.c.id)
    seen: list[tuple[int, str]] = []
    cursor: str | None = None
    while True:
        request = PageRequest.model_validate({"limit": limit, "cursor": cursor, "order": order})
        page = page_of(connection, select(table), columns, request)
        assert len(page.items) <= limit
        seen += [(row.n, row.id) for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == sorted(((n % 3, f"t{n}") for n in range(10)), reverse=order == "desc")


@pytest.mark.parametrize(
    "cursor",
    ["x", "", "é", "W10=", "eyJhIjoxfQ==", "WzEsMl0=", "WyIyMDI2IiwieCIsInkiXQ==", "bnVsbA==", "A" * 5_000],
)
def test_a_cursor_that_was_not_given_out_is_refused(connection: Connection, cursor: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        page_of(connection, select(table), (table.c.at, table.c.n, table.c.id), PageRequest(cursor=cursor))
    assert (refused.value.code, refused.value.param) == ("request.cursor_invalid", "cursor")


def test_a_page_has_between_1_and_200_items() -> None:
    for limit in (0, 201):
        with pytest.raises(ValidationError):
            PageRequest(limit=limit)
