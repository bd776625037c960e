"""A run's events as server-sent events: pre-encoded frames, and a comment every 15 seconds."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.feed import Feed
from gateway.metrics import Metrics
from gateway.room import become_stream
from protocol.ids import RunId
from records.events import Extent

PING_S = 15.0
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-cache",
    "Connection": "keep-alive",
    "X-Accel-Buffering": "no",
}


class Streams:
    """Makes event streams; `ping_s` is how long a quiet one stays without a byte."""

    def __init__(self, feed: Feed, metrics: Metrics, *, ping_s: float = PING_S) -> None:
        self._feed = feed
        self._metrics = metrics
        self._ping_s = ping_s

    def answer(
        self,
        request: Request,
        run_id: RunId,
        cursor: int,
        extent: Extent,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The stream of a run after a cursor; 204 where nothing can follow."""
        if extent.ended and cursor == extent.last:
            return Response(status_code=204)
        become_stream(request)
        return StreamingResponse(
            self._bytes(run_id, cursor, extent.last), headers={**_HEADERS, **(headers or {})}
        )

    async def _bytes(self, run_id: RunId, cursor: int, last: int) -> AsyncGenerator[bytes]:
        yield b"retry: 1000\n\n"
        async with aclosing(self._feed.watch(run_id, cursor, last, patience_s=self._ping_s)) as pages:
            async for frames in pages:
                if not frames:
                    yield b": ping\n\n"
                    continue
                yield b"".join(frame.data for frame in frames)
                self._metrics.events.inc(len(frames))
