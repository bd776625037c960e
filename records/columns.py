"""Column types that mean the same on both engines: times of the database clock, nouns as JSON text."""

from datetime import UTC, datetime
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel, TypeAdapter
from sqlalchemy import ColumnElement, CursorResult, Dialect, Row, Select, Table, Text, and_, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

from protocol.noun import rfc3339
from protocol.principal import Tenant


def to_ms(at: datetime) -> datetime:
    """A time as it is kept: UTC, cut to milliseconds."""
    return at.astimezone(UTC).replace(microsecond=at.microsecond // 1000 * 1000)


AnyRow: TypeAlias = Row[*tuple[Any, ...]]
N = TypeVar("N", bound=BaseModel)


def noun_of(noun: type[N], row: AnyRow) -> N:
    """The noun whose fields are columns of a row."""
    return noun.model_validate({name: getattr(row, name) for name in noun.model_fields})


def first_of(noun: type[N], found: CursorResult[Any]) -> N | None:
    row = found.first()
    return None if row is None else noun_of(noun, row)


def all_of(noun: type[N], found: CursorResult[Any]) -> list[N]:
    return [noun_of(noun, row) for row in found]


def selected(noun: type[BaseModel], table: Table) -> Select[Any]:
    return select(*(table.c[name] for name in noun.model_fields))


def owned_by(tenant: Tenant, table: Table) -> ColumnElement[bool]:
    return and_(table.c.org_id == tenant.org_id, table.c.project_id == tenant.project_id)


class Instant(TypeDecorator[datetime]):
    """A time in UTC with milliseconds: RFC 3339 text on SQLite (it sorts), timestamptz(3) on PostgreSQL."""

    impl = Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(postgresql.TIMESTAMP(timezone=True, precision=3))
        return dialect.type_descriptor(Text())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        return to_ms(value) if dialect.name == "postgresql" else rfc3339(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if isinstance(value, datetime) else datetime.fromisoformat(value)


class Document(TypeDecorator[Any]):
    """A noun (or any type that pydantic knows) as its JSON text; NUL and the like stay escaped."""

    impl = Text
    cache_ok = True

    def __init__(self, noun: Any) -> None:
        super().__init__()
        self.noun = noun
        self._adapter: TypeAdapter[Any] = TypeAdapter(noun)

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else self._adapter.dump_json(value, exclude_none=True).decode()

    def process_result_value(self, value: Any, dialect: Dialect) -> Any:
        return None if value is None else self._adapter.validate_json(value)
