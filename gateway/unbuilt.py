"""What the API names and this gateway does not serve yet: it says so, with the path in the message."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Reader
from protocol.errors import InvalidRequest

router = APIRouter(include_in_schema=False)

_ALL = ("GET", "POST", "PUT", "DELETE")
_DECLARED = (
    *("targets", "mcp-servers", "skills", "policies", "providers", "aliases", "vaults", "agents"),
    *("memory", "webhooks", "budgets", "grants", "tokens", "calls", "live", "assets", "messages"),
)

PATHS: tuple[tuple[str, tuple[str, ...]], ...] = (
    *((f"/v1/{name}", _ALL) for name in _DECLARED),
    *((f"/v1/{name}/{{rest:path}}", _ALL) for name in _DECLARED),
    ("/v1/ws", ("GET",)),
    ("/v1/sessions/{session_id:path}/events", ("GET",)),
    *((f"/v1/sessions/{{session_id:path}}:{verb}", ("POST",)) for verb in ("branch", "snapshot", "compact")),
    *((f"/v1/runs/{{run_id}}/{part}", ("GET",)) for part in ("artifacts", "trace", "receipt")),
)


async def _unsupported(request: Request, caller: Reader) -> Response:
    message = f"{request.method} {request.url.path[:200]} is not supported here"
    raise InvalidRequest("capability.unsupported", message)


for _path, _methods in PATHS:
    router.add_api_route(_path, _unsupported, methods=list(_methods))
