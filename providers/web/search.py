"""Searches of the web: one small port, and the public services behind it."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import httpx2
import orjson

from protocol.errors import Refused
from protocol.noun import JSONObject
from providers.trust import trust_for
from providers.web.body import read_body

SECONDS = 20.0
_LONGEST_TEXT = 1_000


class Found(NamedTuple):
    """One hit; `place` is its address, or a path where a folder is searched."""

    title: str
    place: str
    text: str


class Search(Protocol):
    """Whom a search is put to."""

    async def search(self, query: str, count: int) -> list[Found]:
        """At most `count` hits, best first. Raises Refused where the other side says no or is away."""
        ...


class Service(NamedTuple):
    """How a service is asked and read, as its public documentation says: the header of its key, the field of
    the count, what else a request holds, where the hits stand and which of their fields hold a text."""

    url: str
    key: tuple[str, str]
    most: str
    more: JSONObject
    hits: tuple[str, ...]
    text: tuple[str, ...]


SERVICES = {
    "tavily": Service(
        url="https://api.tavily.com",
        key=("Authorization", "Bearer "),
        most="max_results",
        more={"search_depth": "basic"},
        hits=("results",),
        text=("content",),
    ),
    "exa": Service(
        url="https://api.exa.ai",
        key=("x-api-key", ""),
        most="numResults",
        more={"contents": {"text": {"maxCharacters": _LONGEST_TEXT}}},
        hits=("results",),
        text=("text", "summary"),
    ),
    "firecrawl": Service(
        url="https://api.firecrawl.dev/v2",
        key=("Authorization", "Bearer "),
        most="limit",
        more={},
        hits=("data", "web"),
        text=("description", "markdown"),
    ),
}


class ServiceSearch:
    """One service at its address. `key` is asked at every search; the value is kept nowhere."""

    def __init__(self, name: str, key: Callable[[], str], *, url: str | None = None) -> None:
        self._name = name
        self._service = SERVICES[name]
        self._key = key
        self._url = f"{(url or self._service.url).rstrip('/')}/search"

    async def search(self, query: str, count: int) -> list[Found]:
        service = self._service
        name, before = service.key
        headers = {name: before + self._key(), "Accept-Encoding": "gzip"}
        asked = {"query": query, service.most: count, **service.more}
        verify = trust_for(self._url)
        try:
            async with (
                httpx2.AsyncClient(timeout=SECONDS, trust_env=False, verify=verify) as client,
                client.stream("POST", self._url, json=asked, headers=headers) as answer,
            ):
                body = await read_body(answer.headers.get("content-encoding", "").lower(), answer.aiter_raw())
        except httpx2.TransportError as error:
            raise self._refused("unreachable", str(error) or type(error).__name__) from error
        if answer.status_code != 200:
            raise self._refused("failed", f"status {answer.status_code}")
        try:
            hits: Any = orjson.loads(body.data)
            for part in service.hits:
                hits = hits[part]
            return [self._found(hit) for hit in hits[:count]]
        except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
            raise self._refused("failed", "the answer is not of the documented shape") from error

    def _found(self, hit: Any) -> Found:
        texts = (hit.get(field) for field in self._service.text)
        text = next((text for text in texts if isinstance(text, str)), "")
        return Found(str(hit.get("title") or ""), str(hit["url"]), text[:_LONGEST_TEXT])

    def _refused(self, how: str, why: str) -> Refused:
        return Refused(f"search.{how}", f"the search service {self._name!r}: {why}")
