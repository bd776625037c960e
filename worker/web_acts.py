"""Acts on the web: a page is fetched, a search is made. Both only read; what comes back is untrusted."""

from collections.abc import Callable
from pathlib import Path

from capabilities.catalogue_web import WEB_FETCH, WEB_SEARCH
from protocol.config import Config
from protocol.errors import Refused
from protocol.secret import SecretRef
from protocol.web import SearchEntry
from providers.web.fetch import Fetcher, read_url
from providers.web.folder import FolderSearch
from providers.web.guard import Guard
from providers.web.search import Search, ServiceSearch
from worker.act import Act, Doing, Prepared, Result, failure
from worker.untrusted import framed

SHOWN = 24_000
COUNT = 5


class _Reading:
    """What only reads has nothing to prepare, to stop or to look for."""

    async def prepare(self, doing: Doing) -> Prepared:
        return Prepared()

    async def halt(self, doing: Doing) -> None:
        """A request that nobody waits for is given up."""

    async def probe(self, doing: Doing, prepared: Prepared) -> Result | None:
        return None


class WebFetch(_Reading):
    """`web_fetch`."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def prepare(self, doing: Doing) -> Prepared:
        read_url(str(doing.execution.arguments["url"]))
        return Prepared()

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        arguments = doing.execution.arguments
        page = await self._fetcher.fetch(str(arguments["url"]))
        if page.moved_to is not None:
            words = "The page has moved to another host; fetch it there if you need it"
            return Result(text=f"{words}: {page.moved_to}")
        start = arguments.get("start")
        at = start if isinstance(start, int) else 0
        text = page.text[at : at + SHOWN]
        words = framed(page.url, text)
        end = at + len(text)
        if end < len(page.text):
            words += f"\nCharacters {at} to {end} of {len(page.text)}; go on with start={end}."
        elif not page.whole:
            words += "\nThe page is longer than what is read of one."
        if page.status >= 400:
            return failure(f"The server answered with status {page.status}.\n{words}")
        return Result(text=words)


class WebSearch(_Reading):
    """`web_search`, with whoever is configured; nobody: it is not granted in the first place."""

    def __init__(self, search: Search | None) -> None:
        self._search = search

    async def perform(self, doing: Doing, prepared: Prepared, attempt: int) -> Result:
        if self._search is None:
            raise Refused("search.not_configured", "there is no [search] in the configuration")
        arguments = doing.execution.arguments
        count = arguments.get("count")
        found = await self._search.search(str(arguments["query"]), count if isinstance(count, int) else COUNT)
        if not found:
            return Result(text="Nothing was found.")
        hits = (f"{number}. {hit.title}\n{hit.place}\n{hit.text}" for number, hit in enumerate(found, 1))
        return Result(text=framed("a web search", "\n\n".join(hits)))


def web_acts(config: Config, resolve: Callable[[SecretRef], str], base_dir: Path) -> dict[str, Act]:
    """The acts of the tools that read the web, as this house is configured."""
    return {
        WEB_FETCH: WebFetch(Fetcher(Guard(config.web.allow_private))),
        WEB_SEARCH: WebSearch(_search_of(config.search, resolve, base_dir)),
    }


def _search_of(
    entry: SearchEntry | None, resolve: Callable[[SecretRef], str], base_dir: Path
) -> Search | None:
    if entry is None:
        return None
    if entry.folder is not None:
        return FolderSearch(base_dir / entry.folder)
    reference = entry.apiKeyRef
    assert reference is not None
    return ServiceSearch(entry.provider, lambda: resolve(reference), url=entry.url)
