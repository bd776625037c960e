"""Memory kept by somebody else, over HTTP: one POST a verb, JSON in and out, as docs/memory.md says."""

from collections.abc import Callable
from typing import Annotated, TypeVar

import httpx2
from pydantic import Field, TypeAdapter, ValidationError

from protocol.errors import Refused, Unavailable
from protocol.memory import (
    Absent,
    Forgotten,
    Found,
    MemoryDraft,
    MemoryPlace,
    MemoryRecord,
    Removal,
    Stale,
    Written,
)
from protocol.noun import JSONObject
from providers.trust import trust_for

SECONDS = 10.0
_MOST_BYTES = 8 * 1024 * 1024

T = TypeVar("T")
_FOUND = TypeAdapter(Found)
_READ: TypeAdapter[MemoryRecord | None] = TypeAdapter(MemoryRecord | None)
_WRITTEN: TypeAdapter[Written | Stale] = TypeAdapter(Annotated[Written | Stale, Field(discriminator="kind")])
_DELETED: TypeAdapter[Forgotten | Stale | Absent] = TypeAdapter(
    Annotated[Forgotten | Stale | Absent, Field(discriminator="kind")]
)


class HttpMemory:
    """`key` is asked at every request; the value is kept nowhere."""

    def __init__(self, url: str, key: Callable[[], str]) -> None:
        self.identity = url.rstrip("/")
        self._key = key

    async def search(self, place: MemoryPlace, query: str, limit: int, cursor: str | None = None) -> Found:
        return await self._ask(_FOUND, "search", place, {"query": query, "limit": limit, "cursor": cursor})

    async def read(self, place: MemoryPlace, key: str) -> MemoryRecord | None:
        return await self._ask(_READ, "read", place, {"key": key})

    async def write(self, place: MemoryPlace, draft: MemoryDraft) -> Written | Stale:
        return await self._ask(_WRITTEN, "write", place, {"draft": draft.model_dump(mode="json")})

    async def delete(self, place: MemoryPlace, removal: Removal) -> Forgotten | Stale | Absent:
        return await self._ask(_DELETED, "delete", place, {"removal": removal.model_dump(mode="json")})

    async def _ask(self, answer: TypeAdapter[T], verb: str, place: MemoryPlace, more: JSONObject) -> T:
        body = {"place": place.model_dump(mode="json"), **more}
        headers = {"Authorization": f"Bearer {self._key()}"}
        verify = trust_for(self.identity)
        try:
            async with httpx2.AsyncClient(timeout=SECONDS, trust_env=False, verify=verify) as client:
                told = await client.post(f"{self.identity}/{verb}", json=body, headers=headers)
        except httpx2.TransportError as error:
            why = str(error) or type(error).__name__
            raise Unavailable("memory.unavailable", f"the memory does not answer: {why}") from error
        if told.status_code >= 500:
            raise Unavailable("memory.unavailable", f"the memory answers with status {told.status_code}")
        if told.status_code != 200 or len(told.content) > _MOST_BYTES:
            raise Refused("memory.refused", f"the memory answers with status {told.status_code}")
        try:
            return answer.validate_json(told.content)
        except ValidationError as error:
            raise Refused("memory.refused", f"the memory's answer to {verb!r} is not as agreed") from error
