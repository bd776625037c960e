"""Webhooks as they are served: put under a name, each with the list of what it was told."""

import base64
import re
import secrets
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.requests import Request
from starlette.responses import Response

from gateway.access import Admin, Reader
from gateway.answers import Listed, many, one
from gateway.bodies import documented, read_body
from gateway.gateway import Here
from gateway.idempotency import Made, scope_of
from protocol.errors import Conflict, InvalidRequest, NotFound
from protocol.noun import Noun
from protocol.principal import Caller
from protocol.webhook import Delivery, DeliveryState, Webhook, WebhookBody
from records import webhooks
from records.paging import PageRequest
from records.seal import Seal
from records.tx import Tx

router = APIRouter(tags=["webhooks"])

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


class DeliveryFilter(PageRequest):
    """Which deliveries of a webhook are listed."""

    state: DeliveryState | None = None


class Removed(Noun):
    name: str


@router.get("/v1/webhooks", response_model=Listed[Webhook])
async def list_webhooks(here: Here, caller: Reader, page: Annotated[PageRequest, Query()]) -> Response:
    """Those of the project, the declared ones as well."""
    return many(await here.database.read(lambda c: webhooks.list_webhooks(c, caller.tenant, page)))


@router.get("/v1/webhooks/{name}", response_model=Webhook)
async def get_webhook(here: Here, caller: Reader, name: str) -> Response:
    return one(await here.database.read(lambda c: _named(c, caller, name)))


@router.put("/v1/webhooks/{name}", response_model=Webhook, openapi_extra=documented("WebhookBody"))
async def put_webhook(request: Request, here: Here, caller: Admin, name: str) -> Response:
    """Make or replace it. Its secret is in the answer that made it, and nowhere else."""
    body = await read_body(request)
    asked = body.parse(WebhookBody)
    if _NAME.fullmatch(name) is None:
        message = "name: letters, digits, `_ . -`, 1 to 64 of them, beginning with a letter or digit"
        raise InvalidRequest("request.invalid_field", message, param="name")
    if asked.project not in (None, caller.tenant.project_id):
        message = "project: a key makes webhooks of its own project only"
        raise InvalidRequest("request.invalid_field", message, param="project")

    def unit(tx: Tx) -> Made[Webhook]:
        before = webhooks.get(tx.connection, caller.tenant, name)
        _refuse_declared(before)
        text = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        secret = webhooks.new_secret(Seal(here.pepper), caller.tenant, name, text)
        made = webhooks.put(tx, caller.tenant, name, asked.url, asked.events, secret)
        return Made(name, made, 200 if before else 201)

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    made = done.value or await here.database.read(lambda c: _named(c, caller, name))
    return one(made, done.status, done.headers)


@router.delete("/v1/webhooks/{name}", response_model=Removed)
async def delete_webhook(request: Request, here: Here, caller: Admin, name: str) -> Response:
    """With all that it is still to be told."""
    body = await read_body(request)

    def unit(tx: Tx) -> Made[Removed]:
        _refuse_declared(_named(tx.connection, caller, name))
        webhooks.remove(tx, caller.tenant, name)
        return Made(name, Removed(name=name))

    done = await here.mutations.once(scope_of(request, caller), body, unit)
    return one(Removed(name=name), done.status, done.headers)


@router.get("/v1/webhooks/{name}/deliveries", response_model=Listed[Delivery])
async def list_deliveries(
    here: Here, caller: Reader, name: str, asked: Annotated[DeliveryFilter, Query()]
) -> Response:
    """What it was told, or is still to be told, and how each attempt ended."""

    def query(connection: Connection) -> Response:
        _named(connection, caller, name)
        return many(webhooks.list_deliveries(connection, caller.tenant, name, asked, state=asked.state))

    return await here.database.read(query)


def _named(connection: Connection, caller: Caller, name: str) -> Webhook:
    found = webhooks.get(connection, caller.tenant, name) if _NAME.fullmatch(name) else None
    if found is None:
        raise NotFound("webhook.not_found", f"there is no webhook {name[:200]!r}")
    return found


def _refuse_declared(webhook: Webhook | None) -> None:
    if webhook is not None and webhook.declared:
        message = f"name: the webhook {webhook.name!r} stands in rhone.toml and is changed there"
        raise Conflict("webhook.declared", message, param="name")
