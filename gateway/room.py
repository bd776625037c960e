"""How much one gateway takes on at once; what does not fit is told to come back."""

import asyncio

from starlette.requests import Request

from gateway.metrics import Metrics
from protocol.errors import RateLimited, Unavailable

_PLACE = "rhone.place"


class Place:
    """The place of one request, which it changes for another where it becomes a stream."""

    def __init__(self, room: "Room") -> None:
        self._room = room
        self._streaming = False

    def to_stream(self) -> None:
        if not self._streaming:
            self._room.enter_stream()
            self._streaming = True

    def leave(self) -> None:
        self._room.leave(streaming=self._streaming)


class Room:
    """The places of a gateway. `drained` is set when it is being stopped: streams end where they are."""

    def __init__(self, requests: int, streams: int, metrics: Metrics) -> None:
        self._most_requests = requests
        self._most_streams = streams
        self._metrics = metrics
        self._requests = 0
        self._streams = 0
        self._empty = asyncio.Event()
        self._empty.set()
        self.drained = asyncio.Event()

    async def emptied(self) -> None:
        """Nobody is being answered any more."""
        await self._empty.wait()

    def place(self, request: Request) -> Place:
        """A place among the requests; to be left by the caller."""
        if self.drained.is_set():
            self._metrics.refused.labels("run.draining").inc()
            raise Unavailable("run.draining", "this gateway is being stopped", retry_after=1)
        if self._requests >= self._most_requests:
            raise self._full("quota.requests_in_flight", "too many requests are being answered")
        self._requests += 1
        self._tell()
        place = request.scope[_PLACE] = Place(self)
        return place

    def enter_stream(self) -> None:
        if self._streams >= self._most_streams:
            raise self._full("quota.streams", "too many event streams are open")
        self._requests -= 1
        self._streams += 1
        self._tell()

    def leave(self, *, streaming: bool) -> None:
        if streaming:
            self._streams -= 1
        else:
            self._requests -= 1
        self._tell()

    def _full(self, code: str, message: str) -> RateLimited:
        self._metrics.refused.labels(code).inc()
        return RateLimited(code, message, retry_after=1)

    def _tell(self) -> None:
        self._metrics.in_flight.set(self._requests)
        self._metrics.streams.set(self._streams)
        if self._requests or self._streams:
            self._empty.clear()
        else:
            self._empty.set()


def become_stream(request: Request) -> None:
    """From here on the request holds a stream's place: it may last as long as its run."""
    place: Place = request.scope[_PLACE]
    place.to_stream()
