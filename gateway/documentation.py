"""The OpenAPI document: also the bodies that we decode ourselves, and the events of a stream."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from gateway.checkpoints import DecideAllBody, DecisionBody, RevokeBody
from gateway.client_tools import ClientToolResult
from gateway.errors import ErrorAnswer
from gateway.grants import GrantBody
from gateway.keys import KeyBody
from gateway.mcp_accounts import AuthorizeBody, CallbackBody
from gateway.mcp_servers import LaunchBody
from gateway.memory import MemoryBody
from gateway.policies import PolicyBody
from gateway.principals import PrincipalBody, RolesBody
from gateway.projects import ProjectBody
from gateway.receipts import ErasureBody
from gateway.run_verbs import CancelBody, InterruptBody, ResumeBody, SendBody
from gateway.sessions import Instructions, Phase
from gateway.skills import SkillBody
from gateway.stop_all import StopAllBody
from protocol.budget import BudgetEntry
from protocol.event import EventBody
from protocol.run import RunRequest
from protocol.session import SessionPatch, SessionRequest
from protocol.webhook import WebhookBody

_REF = "#/components/schemas/{model}"
_BODIES: tuple[type[BaseModel], ...] = (
    BudgetEntry,
    MemoryBody,
    SkillBody,
    *(RunRequest, InterruptBody, SendBody, ResumeBody, CancelBody, StopAllBody, ClientToolResult),
    *(SessionRequest, SessionPatch, Instructions, Phase, DecideAllBody, WebhookBody),
    *(DecisionBody, RevokeBody, KeyBody, PrincipalBody, RolesBody, ProjectBody, ErasureBody, ErrorAnswer),
    *(PolicyBody, GrantBody, LaunchBody, AuthorizeBody, CallbackBody),
)
_COMMON = {
    "seq": {"type": "integer", "minimum": 1},
    "run_id": {"type": "string"},
    "session_id": {"type": "string"},
    "at": {"type": "string", "format": "date-time"},
}


def document(app: FastAPI) -> None:
    """Have the application describe itself, once, when somebody asks."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app)
        return app.openapi_schema

    app.openapi = openapi


def _described(app: FastAPI) -> dict[str, Any]:
    told = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
    components = told.setdefault("components", {})
    schemas: dict[str, Any] = components.setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    _, bodies = models_json_schema([(model, "validation") for model in _BODIES], ref_template=_REF)
    events = TypeAdapter(EventBody).json_schema(ref_template=_REF, mode="serialization")
    schemas |= events.pop("$defs") | bodies["$defs"]
    schemas["Event"] = {"allOf": [events, {"type": "object", "properties": _COMMON, "required": [*_COMMON]}]}
    components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    error = {"$ref": _REF.format(model="ErrorAnswer")}
    refusal = {"description": "Why not.", "content": {"application/json": {"schema": error}}}
    for path, operations in told["paths"].items():
        for operation in operations.values():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = refusal
            if path.startswith("/v1/"):
                operation["security"] = [{"key": []}]
            if path.startswith("/v1/") and "requestBody" in operation and not path.endswith(_ONCE):
                operation.setdefault("parameters", []).append(_KEY)
    return told


_ONCE = (":authorize", ":callback")
"""What is good once by itself, and never answered twice."""

_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}
