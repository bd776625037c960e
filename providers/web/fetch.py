"""Pages of the web as text: each connection guarded, each answer capped in size, time and kind."""

import asyncio
import ssl
from functools import cached_property
from typing import NamedTuple

import httpx2

from protocol.errors import Refused
from providers.web.body import decode, is_html, read_body
from providers.web.guard import Guard
from providers.web.page import text_of_html

SECONDS = 30.0
REDIRECTS = 5
LONGEST_URL = 4_000
_PORTS = {"http": 80, "https": 443}
_HEADERS = {
    "Accept": "text/html, text/*;q=0.9, application/json;q=0.9, */*;q=0.1",
    "Accept-Encoding": "gzip",
    "User-Agent": "rhone-web-fetch/1",
}


class Page(NamedTuple):
    """What was read; `moved_to` is the address on another host that the page sends its readers to."""

    url: str
    status: int
    text: str
    whole: bool = True
    moved_to: str | None = None


class Fetcher:
    """Asks for pages, without cookies, credentials or a proxy, each on connections of its own.

    A redirect is followed on its own host only: rules and people decide over the host that they see. Where it
    leads elsewhere, the caller is told and may ask for that.
    """

    def __init__(self, guard: Guard, *, seconds: float = SECONDS) -> None:
        self._guard = guard
        self._seconds = seconds

    async def fetch(self, address: str) -> Page:
        """Raises Refused with a code of the family `web.` for everything that is no page."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._follow(read_url(address))
        except TimeoutError as error:
            raise Refused("web.timeout", f"no whole answer within {self._seconds:g} s") from error
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise Refused("web.unreachable", f"nobody answers: {error or type(error).__name__}") from error

    async def _follow(self, url: httpx2.URL) -> Page:
        for _ in range(REDIRECTS + 1):
            found = await self._ask(url)
            if isinstance(found, Page):
                return found
            if found.host != url.host:
                return Page(str(url), 302, "", moved_to=str(found))
            url = found
        raise Refused("web.redirects", f"more than {REDIRECTS} redirects, the last one to {str(url)[:200]}")

    async def _ask(self, url: httpx2.URL) -> Page | httpx2.URL:
        """One request, to the address that was checked; the host stays in the request and in the TLS name."""
        port = url.port or _PORTS[url.scheme]
        dialled = url.copy_with(host=await self._guard.address(url.host, port))
        verify = self._trust if url.scheme == "https" else False
        headers = {**_HEADERS, "Host": url.netloc.decode("ascii")}
        async with (
            httpx2.AsyncClient(verify=verify, trust_env=False, timeout=self._seconds) as client,
            client.stream("GET", dialled, headers=headers, extensions={"sni_hostname": url.host}) as answer,
        ):
            place = answer.headers.get("location")
            if answer.status_code in (301, 302, 303, 307, 308) and place:
                return _joined(url, place)
            body = await read_body(answer.headers.get("content-encoding", "").lower(), answer.aiter_raw())
            kind = answer.headers.get("content-type", "")
        text = decode(body.data, kind)
        if is_html(kind, text):
            text = await asyncio.to_thread(text_of_html, text, str(url))
        return Page(str(url), answer.status_code, text, body.whole)

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context()


def read_url(text: str) -> httpx2.URL:
    """An absolute address of the web. Raises Refused for every other scheme and for what hides a host."""
    try:
        url = httpx2.URL(text.strip())
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        raise Refused("web.url_invalid", f"{text[:200]!r} is not a URL: {error}") from error
    if url.scheme not in _PORTS:
        raise Refused("web.scheme", f"{text[:200]!r}: only http:// and https:// can be fetched")
    if not url.host or url.userinfo or len(text) > LONGEST_URL:
        raise Refused(
            "web.url_invalid", f"{text[:200]!r}: a host, no user or password, at most 4,000 characters"
        )
    return url.copy_with(fragment=None)


def _joined(url: httpx2.URL, place: str) -> httpx2.URL:
    try:
        return read_url(str(url.join(place)))
    except (httpx2.InvalidURL, UnicodeError, ValueError) as error:
        raise Refused("web.url_invalid", f"a redirect to {place[:200]!r}, which is not a URL") from error
