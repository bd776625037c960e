"""The shape that every noun of the protocol shares."""

from datetime import UTC, datetime
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, JsonValue, PlainSerializer, WithJsonSchema

JSON: TypeAlias = JsonValue
"""Any JSON value."""

JSONObject: TypeAlias = dict[str, JsonValue]


def rfc3339(at: datetime) -> str:
    """The one text form of a time: UTC, with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[
    datetime,
    PlainSerializer(rfc3339, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time of the database clock."""


class Noun(BaseModel):
    """A frozen, closed record: no clock, no I/O, no behaviour beyond reading itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _as_digested(noun: BaseModel) -> dict[str, JsonValue]:
    return noun.model_dump(mode="json", exclude_none=True)


Digested = PlainSerializer(_as_digested, when_used="json")
"""Marks a field whose noun has a digest: it is shown as it was digested, without absent fields."""
