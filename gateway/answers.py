"""How nouns leave the gateway: encoded once, a list as a page with its cursor."""

from collections.abc import Callable, Mapping, Sequence
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from protocol.errors import InvalidRequest
from protocol.noun import Noun
from records.paging import Page, PageRequest

T = TypeVar("T")
N = TypeVar("N", bound=BaseModel)
JSON_TYPE = "application/json"


class Listed(Noun, Generic[T]):
    """One page of a list; `next_cursor` is null at its end."""

    items: tuple[T, ...]
    next_cursor: str | None = None


class Forward(PageRequest):
    """A page of a list that is read from its beginning unless asked otherwise."""

    order: Literal["desc", "asc"] = "asc"


def one(noun: BaseModel, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(noun.model_dump_json(), status, headers, media_type=JSON_TYPE)


def many(page: Page[N]) -> Response:
    return page_of_texts([item.model_dump_json() for item in page.items], page.next_cursor)


def page_of_texts(texts: Sequence[str], next_cursor: str | None, *, key: str = "items") -> Response:
    """A page whose items are encoded already."""
    cursor = "null" if next_cursor is None else f'"{next_cursor}"'
    return Response(f'{{"{key}":[{",".join(texts)}],"next_cursor":{cursor}}}', media_type=JSON_TYPE)


def cut(items: Sequence[N], asked: PageRequest, name: Callable[[N], str]) -> Page[N]:
    """One page of a list that is there as a whole, oldest first; its cursor is the last item's name."""
    ordered = list(items) if asked.order == "asc" else list(reversed(items))
    start = 0
    if asked.cursor is not None:
        names = [name(item) for item in ordered]
        if asked.cursor not in names:
            message = "the cursor was not given out by this list"
            raise InvalidRequest("request.cursor_invalid", message, param="cursor")
        start = names.index(asked.cursor) + 1
    page = ordered[start : start + asked.limit]
    more = start + asked.limit < len(ordered)
    return Page(page, name(page[-1]) if more else None)
