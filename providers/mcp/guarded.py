"""The way to a server: declared origins, public addresses, small answers; everything else stays undialled.

An answer of our own (`UNREACHED`) stands for a request that was never sent, so that a caller can tell it from
one whose answer was lost.
"""

import json
from collections.abc import AsyncIterator, Collection
from ipaddress import ip_address

import httpx2

from providers.web.guard import Resolve, is_public, system_resolve

UNREACHED = -32990
NOT_SENT = "rhone.not_sent"
"""Where such an answer carries its reason, among its extensions."""

MAX_RESPONSE = 1024 * 1024
CONNECT_SECONDS = 10.0

Origin = tuple[str, str, int]


def origin_of(url: httpx2.URL) -> Origin:
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


class Guarded(httpx2.AsyncBaseTransport):
    """Dials `declared` origins, on an inner address only with `private`; with `others` (the metadata and the
    tokens of an authorization server) any https address that is public. A name is looked up once for each
    request, and what was checked is what is dialled."""

    def __init__(
        self,
        declared: Collection[str],
        *,
        private: bool = False,
        others: bool = False,
        resolve: Resolve = system_resolve,
    ) -> None:
        self._declared = frozenset(origin_of(httpx2.URL(url)) for url in declared)
        self._private = private
        self._others = others
        self._resolve = resolve
        self._wire = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        scheme, host, port = origin_of(request.url)
        declared = (scheme, host, port) in self._declared
        if not declared and not (self._others and scheme == "https"):
            return unreached(request, f"{scheme}://{host}:{port} is not an address of this server")
        try:
            addresses = list(dict.fromkeys(await self._resolve(host, port)))
            inner = [address for address in addresses if not is_public(ip_address(address))]
        except (OSError, ValueError):
            return unreached(request, f"{host} has no address")
        if inner and not (declared and self._private):
            return unreached(request, f"{host} has the inner address {inner[0]}")
        for address in addresses:
            try:
                return _small(request, await self._wire.handle_async_request(_pinned(request, address)))
            except (httpx2.ConnectError, httpx2.ConnectTimeout):
                continue
        return unreached(request, f"nobody answers at {host}:{port}")

    async def aclose(self) -> None:
        await self._wire.aclose()


def _pinned(request: httpx2.Request, address: str) -> httpx2.Request:
    """The same request to one checked address; the certificate is still asked for the name."""
    extensions = {**request.extensions, "sni_hostname": request.url.host}
    headers = httpx2.Headers(request.headers)
    headers["accept-encoding"] = "identity"
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=headers,
        stream=request.stream,
        extensions=extensions,
    )


def _small(request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
    encoding = response.headers.get("content-encoding", "identity")
    fault = f"the answer is packed ({encoding})" if encoding != "identity" else None
    stream = response.stream
    assert isinstance(stream, httpx2.AsyncByteStream)
    return httpx2.Response(
        response.status_code,
        headers=response.headers,
        stream=_Capped(stream, fault),
        extensions=response.extensions,
    )


class TooMuch(httpx2.StreamError):
    """An answer over our limits: the rest of it is not read."""


class _Capped(httpx2.AsyncByteStream):
    def __init__(self, stream: httpx2.AsyncByteStream, fault: str | None) -> None:
        self._stream = stream
        self._fault = fault

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self._fault is not None:
            raise TooMuch(self._fault)
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > MAX_RESPONSE:
                raise TooMuch(f"the answer is over {MAX_RESPONSE} bytes")
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def unreached(request: httpx2.Request, reason: str) -> httpx2.Response:
    """Our own answer to a request that nobody got."""
    body = {"jsonrpc": "2.0", "id": None, "error": {"code": UNREACHED, "message": reason}}
    return httpx2.Response(
        502,
        request=request,
        headers={"content-type": "application/json"},
        content=json.dumps(body).encode(),
        extensions={NOT_SENT: reason},
    )
