"""Request bodies: read under a limit, refused by their type or size before they are decoded."""

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.requests import Request

from protocol.digest import digest
from protocol.errors import InvalidRequest, TooLarge
from protocol.noun import JSON, Noun
from protocol.strict import MAX_BODY, decode, validate

N = TypeVar("N", bound=BaseModel)


class Empty(Noun):
    """The body of a verb that needs no words."""


@dataclass(frozen=True)
class Body:
    """A decoded body; its digest is that of the canonical form, so that white space is no difference."""

    value: JSON

    @property
    def digest(self) -> str:
        return digest(self.value)

    def parse(self, model: type[N]) -> N:
        return validate(model, self.value)


async def read_body(request: Request) -> Body:
    """The JSON value that was sent; no bytes at all stand for an empty object."""
    raw = await _bytes_of(request)
    if not raw:
        return Body({})
    declared = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if declared != "application/json":
        message = f"the body is {declared or 'of no declared type'}, it has to be application/json"
        raise InvalidRequest("request.content_type", message, param="Content-Type")
    return Body(decode(raw))


async def _bytes_of(request: Request) -> bytes:
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > MAX_BODY:
        raise _too_large()
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY:
            raise _too_large()
    return bytes(raw)


def _too_large() -> TooLarge:
    return TooLarge("request.too_large", f"the body is over the limit of {MAX_BODY} bytes")


def documented(name: str, *, required: bool = True) -> dict[str, Any]:
    """What the OpenAPI document says of a body that we decode ourselves."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"requestBody": {"required": required, "content": {"application/json": {"schema": schema}}}}
