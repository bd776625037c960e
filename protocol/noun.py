"""The shape that every noun of the protocol shares."""

from typing import TypeAlias

from pydantic import BaseModel, ConfigDict, JsonValue

JSON: TypeAlias = JsonValue
"""Any JSON value."""

JSONObject: TypeAlias = dict[str, JsonValue]


class Noun(BaseModel):
    """A frozen, closed record: no clock, no I/O, no behaviour beyond reading itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")
