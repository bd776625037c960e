"""Tellings to addresses that somebody else has named: past the guard, and never where a redirect leads."""

import asyncio
import ssl
from collections.abc import Mapping
from functools import cached_property

import httpx2

from protocol.errors import Refused
from providers.web.fetch import read_url
from providers.web.guard import Guard

_PORTS = {"http": 80, "https": 443}


class Poster:
    """Each request goes to the very address that the guard has checked, without cookies or a proxy; of the
    answer only its status is read."""

    def __init__(self, guard: Guard, *, seconds: float) -> None:
        self._guard = guard
        self._seconds = seconds

    async def post(self, address: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Raises Refused where nobody answers, or where it may not be sent."""
        url = read_url(address)
        try:
            async with asyncio.timeout(self._seconds):
                return await self._send(url, body, headers)
        except TimeoutError as error:
            raise Refused("web.timeout", f"no answer within {self._seconds:g} s") from error
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise Refused("web.unreachable", f"nobody answers: {error or type(error).__name__}") from error

    async def _send(self, url: httpx2.URL, body: bytes, headers: Mapping[str, str]) -> int:
        port = url.port or _PORTS[url.scheme]
        dialled = url.copy_with(host=await self._guard.address(url.host, port))
        sent = {**headers, "Host": url.netloc.decode("ascii")}
        verify = self._trust if url.scheme == "https" else False
        async with (
            httpx2.AsyncClient(verify=verify, trust_env=False, timeout=self._seconds) as client,
            client.stream(
                "POST", dialled, content=body, headers=sent, extensions={"sni_hostname": url.host}
            ) as answer,
        ):
            return answer.status_code

    @cached_property
    def _trust(self) -> ssl.SSLContext:
        return ssl.create_default_context()
