"""One HTTP exchange with a backend: what goes out, and the bytes that come back before patience ends."""

import asyncio
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass

import httpx2

from protocol.model import StreamError
from providers import failures


@dataclass(frozen=True)
class Patience:
    """Seconds: to connect; between bytes once they flow; without content; for the whole exchange."""

    connect: float = 10
    idle: float = 60
    progress: float = 300
    total: float = 600


class Broken(Exception):
    """The exchange cannot go on."""

    def __init__(self, failure: StreamError) -> None:
        super().__init__(failure.message)
        self.failure = failure


class Exchange:
    """Sends one request and reads its answer; `close` always closes the connection's share of it."""

    def __init__(self, client: httpx2.AsyncClient, patience: Patience) -> None:
        self._client = client
        self._patience = patience
        self._begun = self._moved = time.monotonic()
        self._last: float | None = None
        self._response: httpx2.Response | None = None
        self._bytes: AsyncGenerator[bytes, None] | None = None

    async def send(self, url: str, headers: dict[str, str], content: bytes) -> httpx2.Response:
        """The head of the answer."""
        request = self._client.build_request("POST", url, headers=headers, content=content)
        try:
            async with asyncio.timeout(self._left()):
                self._response = await self._client.send(request, stream=True)
        except TimeoutError as error:
            raise Broken(failures.TIMEOUT.told("the backend did not answer in time")) from error
        except httpx2.TransportError as error:
            message = f"the backend cannot be reached: {_named(error)}"
            raise Broken(failures.CONNECTION_FAILED.told(message)) from error
        self._bytes = self._response.aiter_bytes()
        return self._response

    async def read(self) -> bytes | None:
        """The next bytes of the body; None at its end."""
        assert self._bytes is not None
        try:
            async with asyncio.timeout(self._left()):
                chunk = await anext(self._bytes, None)
        except TimeoutError as error:
            raise Broken(self._stalled()) from error
        except httpx2.DecodingError as error:
            message = "the backend's compressed answer cannot be read"
            raise Broken(failures.PROTOCOL_VIOLATION.told(message)) from error
        except (httpx2.TransportError, httpx2.StreamError) as error:
            message = f"the connection broke: {_named(error)}"
            raise Broken(failures.STREAM_TRUNCATED.told(message)) from error
        self._last = time.monotonic()
        return chunk

    async def read_all(self, limit: int) -> bytes:
        """The body up to a limit."""
        out = bytearray()
        while len(out) < limit and (chunk := await self.read()) is not None:
            out += chunk
        return bytes(out[:limit])

    async def read_refusal(self, limit: int) -> bytes:
        """The body of an answer whose status already says enough: what comes of it, soon."""
        out = bytearray()
        try:
            async with asyncio.timeout(5):
                while len(out) < limit and (chunk := await self.read()) is not None:
                    out += chunk
        except (TimeoutError, Broken):
            return bytes(out)
        return bytes(out)

    def moved(self) -> None:
        """Content came: the progress clock starts anew."""
        self._moved = time.monotonic()

    async def drain(self) -> None:
        """After the last frame: the connection can serve again if its body ends by itself, at once."""
        try:
            async with asyncio.timeout(0.2):
                while self._bytes is not None and await anext(self._bytes, None) is not None:
                    pass
        except (TimeoutError, httpx2.HTTPError, httpx2.StreamError):
            return

    async def close(self) -> None:
        if self._bytes is not None:
            await self._bytes.aclose()
        if self._response is not None:
            await self._response.aclose()

    def _left(self) -> float:
        """Seconds until the first of the limits; idleness counts from the first bytes on."""
        ends = [self._begun + self._patience.total, self._moved + self._patience.progress]
        if self._last is not None:
            ends.append(self._last + self._patience.idle)
        return max(0.0, min(ends) - time.monotonic())

    def _stalled(self) -> StreamError:
        now = time.monotonic()
        if now >= self._begun + self._patience.total:
            return failures.TIMEOUT.told("the answer took longer than its time limit")
        if self._last is not None and now >= self._last + self._patience.idle:
            return failures.STREAM_IDLE.told("the backend fell silent")
        return failures.STREAM_IDLE.told("the backend sent signs of life but no content")


def _named(error: Exception) -> str:
    return f"{type(error).__name__} {error}".strip()
