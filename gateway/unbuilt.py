"""What the API names and this gateway does not serve yet: it says so, with the path in the message."""

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.gateway import gateway_of
from protocol.errors import InvalidRequest

_DECLARED = (
    *("targets", "mcp-servers", "providers", "aliases", "vaults", "agents"),
    *("tokens", "calls", "live", "assets", "messages"),
)

_PATHS: tuple[tuple[str, tuple[str, ...]], ...] = (
    *((f"/v1/{name}{rest}", ()) for name in _DECLARED for rest in ("", "/{rest:path}")),
    ("/v1/ws", ("GET",)),
    ("/v1/sessions/{session_id:path}/events", ("GET",)),
    *((f"/v1/sessions/{{session_id:path}}:{verb}", ("POST",)) for verb in ("branch", "snapshot", "compact")),
    ("/v1/runs/{run_id}/trace", ("GET",)),
)


def routes() -> list[Route]:
    return [Route(path, _unsupported, methods=list(methods) or _ALL) for path, methods in _PATHS]


_ALL = ["GET", "POST", "PUT", "PATCH", "DELETE"]


async def _unsupported(request: Request) -> Response:
    await (await gateway_of(request)).doorkeeper.caller(request)
    message = f"{request.method} {request.url.path[:200]} is not supported here"
    raise InvalidRequest("capability.unsupported", message)
