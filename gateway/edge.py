"""What every request meets first: an id, a place or a refusal, a line in the log and in the metrics."""

import re
import time
from collections.abc import Collection

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import REQUEST_ID, answer
from gateway.metrics import Metrics
from gateway.room import Room
from protocol.errors import Fault, Forbidden, InvalidRequest
from protocol.ids import fresh
from records.logs import bind, logger

VERSION = "1"
UNGUARDED = frozenset({"/healthz", "/readyz", "/metrics"})
"""Answered while the gateway is full or being stopped."""

_REQUEST_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?", re.IGNORECASE)
_NAMED = frozenset({"run_id", "session_id", "checkpoint_id"})
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class Edge:
    """The outermost layer of the application."""

    def __init__(
        self, app: ASGIApp, room: Room, metrics: Metrics, *, origins: Collection[str], open_house: bool
    ) -> None:
        self._app = app
        self._room = room
        self._metrics = metrics
        self._origins = frozenset(origins)
        self._open_house = open_house
        self._log = logger("gateway").bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        asked = request.headers.get("x-request-id", "")
        request_id = asked if _REQUEST_ID.fullmatch(asked) else fresh("req_")
        scope[REQUEST_ID] = request_id
        with bind(request_id=request_id):
            await self._observed(request, send, request_id)

    async def _observed(self, request: Request, send: Send, request_id: str) -> None:
        started = time.perf_counter()
        status = 0

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
                took = time.perf_counter() - started
                self._metrics.latency.labels(request.method, _route(request)).observe(took)
            await send(message)

        try:
            await self._guarded(request, watch)
        finally:
            route = _route(request)
            self._metrics.requests.labels(request.method, route, str(status)).inc()
            took_ms = round((time.perf_counter() - started) * 1000, 1)
            named = {name: str(value)[:64] for name, value in request.path_params.items() if name in _NAMED}
            self._log.info("request", method=request.method, route=route, status=status, ms=took_ms, **named)

    async def _guarded(self, request: Request, send: Send) -> None:
        receive = request.receive
        if request.scope["path"] in UNGUARDED:
            await self._app(request.scope, receive, send)
            return
        try:
            self._admit(request)
            place = self._room.place(request)
        except Fault as fault:
            await answer(fault, request.scope[REQUEST_ID])(request.scope, receive, send)
            return
        try:
            await self._app(request.scope, receive, send)
        finally:
            place.leave()

    def _admit(self, request: Request) -> None:
        version = request.headers.get("rhone-version", VERSION)
        if version != VERSION:
            message = f"this gateway speaks version {VERSION}, not {version[:32]!r}"
            raise InvalidRequest("request.unsupported_version", message, param="Rhone-Version")
        if self._open_house and not _LOOPBACK.fullmatch(request.headers.get("host", "")):
            # without keys the browser of this machine is the way in for any page that names us otherwise
            raise Forbidden("auth.host_not_allowed", "without keys only loopback names are answered")
        origin = request.headers.get("origin")
        if origin is None or request.method in _SAFE or origin in self._origins:
            return
        # the host alone: a proxy may have ended TLS in front of us
        if origin.partition("://")[2] != request.headers.get("host"):
            raise Forbidden("auth.origin_not_allowed", f"the origin {origin[:200]!r} is not allowed")


def _route(request: Request) -> str:
    """The pattern of the route, never the path: ids do not belong into metrics."""
    return getattr(request.scope.get("route"), "path", "unrouted")
