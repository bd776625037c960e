"""How nouns leave the gateway: encoded once, a list as a page with its cursor."""

from collections.abc import Sequence
from typing import Generic, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from protocol.noun import Noun

T = TypeVar("T")
JSON_TYPE = "application/json"


class Listed(Noun, Generic[T]):
    """One page of a list; `next_cursor` is null at its end."""

    items: tuple[T, ...]
    next_cursor: str | None = None


def one(noun: BaseModel, status: int = 200) -> Response:
    return Response(noun.model_dump_json(), status, media_type=JSON_TYPE)


def many(items: Sequence[BaseModel], next_cursor: str | None = None, *, key: str = "items") -> Response:
    body = ",".join(item.model_dump_json() for item in items)
    return page_of_texts(body, next_cursor, key=key)


def page_of_texts(joined: str, next_cursor: str | None, *, key: str = "items") -> Response:
    """A page whose items are encoded already."""
    cursor = "null" if next_cursor is None else f'"{next_cursor}"'
    return Response(f'{{"{key}":[{joined}],"next_cursor":{cursor}}}', media_type=JSON_TYPE)
