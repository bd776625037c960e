"""The application: every route, the one error shape around them, and the edge around that."""

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from gateway import (
    artifacts,
    budgets,
    checkpoints,
    client_tools,
    grants,
    health,
    keys,
    mcp_accounts,
    mcp_servers,
    memory,
    models,
    policies,
    principals,
    projects,
    receipts,
    run_verbs,
    run_views,
    runs,
    safety,
    sessions,
    skills,
    snapshots,
    stop_all,
    trees,
    unbuilt,
    webhooks,
)
from gateway.documentation import document
from gateway.edge import Edge
from gateway.errors import translate
from gateway.gateway import Gateway

_ASKED = [
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "Last-Event-ID",
    "Rhone-Version",
    "X-Request-ID",
]
_SHOWN = ["X-Request-ID", "Retry-After", "Idempotency-Replayed"]


def build(gateway: Gateway, *, open_house: bool = False) -> ASGIApp:
    """`open_house` is a gateway without keys: only loopback names are answered."""
    app = FastAPI(title="Rhone", version="1", description="The native API.", redirect_slashes=False)
    app.state.gateway = gateway
    for part in (
        memory,
        checkpoints,
        runs,
        run_verbs,
        run_views,
        safety,
        trees,
        artifacts,
        mcp_servers,
        mcp_accounts,
        client_tools,
        stop_all,
        health,
    ):
        app.include_router(part.router)
    app.router.routes.extend(unbuilt.routes())
    app.include_router(webhooks.router)
    for part in (
        policies,
        grants,
        sessions,
        models,
        skills,
        snapshots,
        keys,
        principals,
        projects,
        budgets,
        receipts,
    ):
        app.include_router(part.router)
    translate(app)
    document(app)
    origins = gateway.config.cors.origins
    edge: ASGIApp = Edge(app, gateway.room, gateway.metrics, origins=origins, open_house=open_house)
    if not origins:
        return edge
    return CORSMiddleware(
        edge,
        allow_origins=origins,
        allow_methods=["GET", "POST", "PATCH", "PUT", "DELETE"],
        allow_headers=_ASKED,
        expose_headers=_SHOWN,
    )
