"""The shape that every noun of the protocol shares."""

from typing import TypeAlias

from pydantic import BaseModel, ConfigDict
from typing_extensions import TypeAliasType

JSON = TypeAliasType("JSON", "bool | int | float | str | list[JSON] | dict[str, JSON] | None")
"""Any JSON value."""

JSONObject: TypeAlias = dict[str, JSON]


class Noun(BaseModel):
    """A frozen, closed record: no clock, no I/O, no behaviour beyond reading itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")
